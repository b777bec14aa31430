package enginehost

import (
	"bytes"
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
)

// A Query is one request to a host that holds instances. Queries and replies
// are gob streams on the host's standard input and output.
type Query struct {
	Op    Op
	ID    int    // the instance, for OpCall, OpCalls, OpClose and OpRegions, or the service, for OpStopServe
	N     int    // how many, for OpStarts and OpCalls; the size of the pool, for OpServe
	First bool   // whether each of them is a first one
	Body  []byte // the request

	Address string // where to listen, for OpServe
}

// A Reply answers a Query.
type Reply struct {
	Err       string             // "" when all went well
	Exhausted *runtime.Exhausted // where something that is used up is why; its cause is only in Err
	ID        int
	Address   string             // where it listens, for OpServe
	Body      []byte             // the answer, for OpCall
	Timelines []runtime.Timeline // one a start, for OpStart, OpStarts and OpServe
	Times     []time.Duration    // one a call, for OpCalls
	Answers   [][]byte           // the distinct answers that were seen, for OpStarts and OpCalls
	Regions   []runtime.Region   // for OpRegions
}

// hold answers queries until its input ends, then closes what is still open and
// the image.
func hold(ctx context.Context, img runtime.Image, r io.Reader, w io.Writer) (err error) {
	h := holder{img: img, instances: map[int]runtime.Instance{}, services: map[int]*server{}}
	defer func() { err = errors.Join(err, h.close()) }()
	dec, enc := gob.NewDecoder(r), gob.NewEncoder(w)
	for {
		var q Query
		if err := dec.Decode(&q); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("reading what the harness asks: %w", err)
		}
		reply, err := h.do(ctx, &q)
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
	case OpCall, OpCalls, OpClose, OpRegions:
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
		case OpRegions:
			if m, ok := inst.(runtime.Mapper); ok {
				reply.Regions, err = m.Regions(ctx)
			}
			return reply, err
		}
		reply.Body, err = inst.Call(ctx, q.Body)
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
	s, err := newServer(ctx, h.img, q.N, func(at time.Time) { t.Mark(runtime.Load, at) })
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

// mostAnswers is how many different answers to one request are remembered.
const mostAnswers = 16

// seen returns a check that remembers in reply what it has not seen before. An
// answer equal to one that was seen is as good as that one; the harness checks
// every distinct answer, and if one is wrong throws the whole batch away.
func seen(reply *Reply) func(answer []byte) error {
	return func(answer []byte) error {
		for _, a := range reply.Answers {
			if bytes.Equal(a, answer) {
				return nil
			}
		}
		if len(reply.Answers) == mostAnswers {
			return fmt.Errorf("more than %d different answers to one request", mostAnswers)
		}
		reply.Answers = append(reply.Answers, bytes.Clone(answer))
		return nil
	}
}

// starts times q.N starts.
func (h *holder) starts(ctx context.Context, q *Query) (reply Reply, err error) {
	check := seen(&reply)
	reply.Timelines = make([]runtime.Timeline, 0, q.N)
	for range q.N {
		if q.First {
			if err := h.unload(ctx); err != nil {
				return reply, err
			}
		}
		t, err := runtime.TimeStart(ctx, h.img, q.Body, check)
		if err != nil {
			return reply, err
		}
		reply.Timelines = append(reply.Timelines, *t)
	}
	return reply, nil
}

// calls times q.N calls of an instance.
func calls(ctx context.Context, inst runtime.Instance, q *Query) (reply Reply, err error) {
	check := seen(&reply)
	reply.Times = make([]time.Duration, 0, q.N)
	for range q.N {
		begin := time.Now()
		answer, err := inst.Call(ctx, q.Body)
		if err == nil {
			err = check(answer)
		}
		if err != nil {
			return reply, err
		}
		reply.Times = append(reply.Times, time.Since(begin))
	}
	return reply, nil
}

var opNames = [...]string{
	OpStart: "start", OpCall: "call", OpClose: "close", OpUnload: "unload", OpStarts: "starts", OpCalls: "calls",
	OpServe: "serve", OpStopServe: "stop serving", OpRegions: "regions",
}

func (o Op) String() string {
	if int(o) < len(opNames) {
		return opNames[o]
	}
	return fmt.Sprintf("Op(%d)", uint8(o))
}
