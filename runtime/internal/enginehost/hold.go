package enginehost

import (
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/seed-0132abb7/wasmbench/runtime"
)

// An Op is what the harness asks of a host that holds instances.
type Op uint8

const (
	OpStart     Op = iota // start an instance
	OpCall                // call one
	OpClose               // close one
	OpUnload              // forget the module
	OpStarts              // time N starts
	OpCalls               // time N calls of one
	OpServe               // start a service
	OpStopServe           // end one when it has answered what it was asked
	OpRegions             // where an instance lies
	OpBatches             // time N batches of Size calls of one
	OpTogether            // call several at the same time
)

// A Query is one request to a host that holds instances. Queries and replies
// are gob streams on the host's standard input and output.
type Query struct {
	Op    Op
	Turn  uint64 // the number by which CancelFile can name it, more than any before; 0 where it is not to be ended
	ID    int    // the instance, for OpCall, OpCalls, OpBatches, OpClose and OpRegions, or the service, for OpStopServe
	N     int    // how many, for OpStarts, OpCalls and OpBatches; the size of the pool, for OpServe
	Size  int    // calls of a batch
	First bool   // whether each start is a first one
	Body  []byte // the request

	IDs    []int    // the instances, for OpTogether
	Bodies [][]byte // and the request to each

	Address string // where to listen, for OpServe
	Web     bool   // whether the guest is asked as package workload/guests/go/web has it, for OpServe
}

// A Reply answers a Query.
type Reply struct {
	Err       string             // "" when all went well
	Exhausted *runtime.Exhausted // where something that is used up is why; its cause is only in Err
	ID        int
	Address   string             // where it listens, for OpServe
	Body      []byte             // the answer, for OpCall
	Timelines []runtime.Timeline // one a start, for OpStart, OpStarts and OpServe
	Times     []time.Duration    // one a call or a batch, for OpCalls and OpBatches; one in all, for OpTogether
	Answers   [][]byte           // the distinct answers that were seen, for OpStarts, OpCalls and OpBatches; one an instance, for OpTogether
	Regions   []runtime.Region   // for OpRegions
}

// hold answers queries until its input ends, then closes what is still open and
// the image. cancels opens what CancelFile is, when it is needed.
func hold(ctx context.Context, img runtime.Image, r io.Reader, w io.Writer, cancels func() io.Reader) (err error) {
	h := holder{img: img, instances: map[int]runtime.Instance{}, services: map[int]*server{}}
	defer func() { err = errors.Join(err, h.close()) }()
	turns := turns{open: cancels}
	dec, enc := gob.NewDecoder(r), gob.NewEncoder(w)
	for {
		var q Query
		if err := dec.Decode(&q); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("reading what the harness asks: %w", err)
		}
		within, done := turns.begin(ctx, q.Turn)
		reply, err := h.do(within, &q)
		done()
		if err != nil {
			reply.Err = err.Error()
			if e := (*runtime.Exhausted)(nil); errors.As(err, &e) {
				reply.Exhausted = &runtime.Exhausted{What: e.What, Why: e.Why, Fix: e.Fix}
			}
		}
		if err := enc.Encode(reply); err != nil {
			return fmt.Errorf("answering the harness: %w", err)
		}
	}
}

type holder struct {
	img       runtime.Image
	instances map[int]runtime.Instance
	services  map[int]*server
	next      int
}

// close closes everything, unless a guest is still at work: then it leaves all
// as it is, for the end of the process to clear.
func (h *holder) close() (err error) {
	for _, s := range h.services {
		if err := s.closeIdle(); err != nil {
			return err
		}
	}
	for _, inst := range h.instances {
		err = errors.Join(err, inst.Close())
	}
	return errors.Join(err, h.img.Close())
}

func (h *holder) do(ctx context.Context, q *Query) (reply Reply, err error) {
	switch q.Op {
	case OpStart:
		t := runtime.NewTimeline(time.Now())
		inst, err := h.img.Start(ctx, t.Mark)
		if err != nil {
			return reply, err
		}
		reply.Timelines = []runtime.Timeline{*t}
		h.next++
		h.instances[h.next], reply.ID = inst, h.next
	case OpCall, OpCalls, OpBatches, OpClose, OpRegions:
		inst, ok := h.instances[q.ID]
		if !ok {
			return reply, fmt.Errorf("there is no instance %d", q.ID)
		}
		switch q.Op {
		case OpClose:
			delete(h.instances, q.ID)
			return reply, inst.Close()
		case OpCalls:
			return calls(ctx, inst, q)
		case OpBatches:
			return batches(ctx, inst, q)
		case OpRegions:
			if m, ok := inst.(runtime.Mapper); ok {
				reply.Regions, err = m.Regions(ctx)
			}
			return reply, err
		}
		reply.Body, err = inst.Call(ctx, q.Body)
	case OpTogether:
		return h.together(ctx, q)
	case OpUnload:
		err = h.unload(ctx)
	case OpStarts:
		return h.starts(ctx, q)
	case OpServe:
		return h.serve(ctx, q)
	case OpStopServe:
		s, ok := h.services[q.ID]
		if !ok {
			return reply, fmt.Errorf("there is no service %d", q.ID)
		}
		delete(h.services, q.ID)
		err = s.close()
	default:
		err = fmt.Errorf("unknown query %d", q.Op)
	}
	return reply, err
}

// serve starts a service. Its timeline has the phases Load and, for all the
// rest until it listens, Create.
func (h *holder) serve(ctx context.Context, q *Query) (reply Reply, err error) {
	t := runtime.NewTimeline(time.Now())
	s, err := newServer(ctx, h.img, serving{pool: q.N, web: q.Web}, func(at time.Time) { t.Mark(runtime.Load, at) })
	if err != nil {
		return reply, err
	}
	if reply.Address, err = s.listen(q.Address); err != nil {
		return reply, errors.Join(err, s.close())
	}
	t.Mark(runtime.Create, time.Now())
	reply.Timelines = []runtime.Timeline{*t}
	h.next++
	h.services[h.next], reply.ID = s, h.next
	return reply, nil
}

func (h *holder) unload(ctx context.Context) error {
	if u, ok := h.img.(runtime.Unloader); ok {
		return u.Unload(ctx)
	}
	return nil
}

var opNames = [...]string{
	OpStart: "start", OpCall: "call", OpClose: "close", OpUnload: "unload", OpStarts: "starts", OpCalls: "calls",
	OpServe: "serve", OpStopServe: "stop serving", OpRegions: "regions", OpBatches: "batches", OpTogether: "call together",
}

func (o Op) String() string {
	if int(o) < len(opNames) {
		return opNames[o]
	}
	return fmt.Sprintf("Op(%d)", uint8(o))
}
