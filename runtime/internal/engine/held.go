package engine

import (
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/enginehost"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/hostdir"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/process"
)

// ErrHostEnded is wrapped by the errors of an image whose host process has
// ended, by a crash or because a context ended during a call that it was not
// guarded against. The image can only be closed.
var ErrHostEnded = errors.New("the engine host has ended")

// heldImage is a reactor in one host process, started at the first use.
type heldImage struct {
	shipped
	program process.Program // the host
	dir     string          // that the guests have of the host's, "" for none
	size    int64
	guarded bool

	proc  atomic.Pointer[process.Process] // the host, nil until there is one
	asked atomic.Int64                    // how many queries have had a turn

	// turn holds one token while a query is on its way or the fields below are
	// used.
	turn    chan struct{}
	enc     *gob.Encoder
	dec     *gob.Decoder
	cancels *os.File // see enginehost.CancelFile; nil unless guarded
	ended   error    // why the host is no more
}

func (i *heldImage) Bytes() int64 { return i.size }

// Close ends the host, also while it is asked something.
func (i *heldImage) Close() error {
	i.seize()
	defer i.release()
	if i.ended == nil {
		i.ended = ErrHostEnded
	}
	if i.cancels != nil {
		i.cancels.Close()
	}
	if p := i.proc.Load(); p != nil {
		return p.Close()
	}
	return nil
}

func (i *heldImage) release() { <-i.turn }

// seize takes the turn for whoever gives something back. Others have asked with
// contexts of their own, which may never end: if one query has been under way
// for process.Grace while this waited, the host is killed.
func (i *heldImage) seize() {
	patience := time.NewTicker(process.Grace)
	defer patience.Stop()
	for {
		asked := i.asked.Load()
		select {
		case i.turn <- struct{}{}:
			return
		case <-patience.C:
		}
		if p := i.proc.Load(); p != nil && i.asked.Load() == asked {
			p.Kill()
		}
	}
}

// ask waits for its turn and exchanges one query with the host. If ctx ends
// while it waits nothing has been asked, and the host goes on.
func (i *heldImage) ask(ctx context.Context, q *enginehost.Query) (*enginehost.Reply, error) {
	select {
	case i.turn <- struct{}{}:
		defer i.release()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	q.Turn = 0
	if i.guarded && ctx.Done() != nil {
		q.Turn = uint64(i.asked.Load()) + 1
	}
	return i.exchange(ctx, q)
}

// end is ask for a query that gives back what there is, which may take as long
// as process.Grace. Where the host has ended there is nothing to give back.
func (i *heldImage) end(q *enginehost.Query) error {
	i.seize()
	defer i.release()
	ctx, cancel := context.WithTimeout(context.Background(), process.Grace)
	defer cancel()
	if _, err := i.exchange(ctx, q); !errors.Is(err, ErrHostEnded) {
		return err
	}
	return nil
}

// exchange is called by whoever has the turn. If ctx ends first the host is told
// where the query has a turn, and killed otherwise: a guest that does not return
// cannot be stopped in another way.
func (i *heldImage) exchange(ctx context.Context, q *enginehost.Query) (*enginehost.Reply, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if i.ended != nil {
		return nil, fmt.Errorf("runtime %s: %w", i.label, i.ended)
	}
	i.asked.Add(1)
	host := i.proc.Load()
	if host == nil {
		var err error
		if host, err = i.begin(); err != nil {
			return nil, fmt.Errorf("runtime %s: %w", i.label, err)
		}
	}
	release := watch(ctx, host, i.cancels, q.Turn)
	var r enginehost.Reply
	err := i.enc.Encode(q)
	if err == nil {
		err = i.dec.Decode(&r)
	}
	overdue, killed := release()
	if killed { // whatever it has answered
		err = context.Cause(ctx)
	}
	if err != nil {
		err = host.Explain(err)
		i.ended = fmt.Errorf("%w: %w", ErrHostEnded, err)
		return nil, fmt.Errorf("runtime %s: %w", i.label, i.ended)
	}
	if r.Err != "" {
		e := &HostError{Runtime: i.label, Verb: q.Op.String(), Text: r.Err}
		switch {
		case r.Exhausted != nil:
			e.Err = r.Exhausted
		case overdue:
			e.Err = context.Cause(ctx)
		}
		return nil, e
	}
	return &r, nil
}

// begin starts the host.
func (i *heldImage) begin() (*process.Process, error) {
	if err := hostdir.Check(i.dir); err != nil {
		return nil, err
	}
	program := i.program
	if i.guarded {
		theirs, ours, err := os.Pipe()
		if err != nil {
			return nil, err
		}
		defer theirs.Close()
		program.Files, i.cancels = []*os.File{theirs}, ours
	}
	host, err := process.Start(program)
	if err != nil {
		if i.guarded {
			i.cancels.Close()
		}
		return nil, err
	}
	i.enc, i.dec = gob.NewEncoder(host.In), gob.NewDecoder(host.Out)
	i.proc.Store(host)
	return host, nil
}

// Start starts an instance. The phases are those that the host measured; what
// the exchange with it takes, and its own start with the first instance, counts
// to Create.
func (i *heldImage) Start(ctx context.Context, mark func(runtime.Phase, time.Time)) (runtime.Instance, error) {
	r, err := i.ask(ctx, &enginehost.Query{Op: enginehost.OpStart})
	if err != nil {
		return nil, err
	}
	replay(r, mark, runtime.Load, runtime.Create, runtime.Start, runtime.Ready)
	return &heldInstance{image: i, id: r.ID}, nil
}

// replay marks the phases that the host measured and, before them, what the
// exchange with it took.
func replay(r *enginehost.Reply, mark func(runtime.Phase, time.Time), phases ...runtime.Phase) {
	if len(r.Timelines) != 1 {
		return
	}
	at := time.Now().Add(-r.Timelines[0].FirstAnswer())
	mark(runtime.Create, at)
	for _, p := range phases {
		at = at.Add(r.Timelines[0].Durations[p])
		mark(p, at)
	}
}

// Unload makes the host forget the module.
func (i *heldImage) Unload(ctx context.Context) error {
	_, err := i.ask(ctx, &enginehost.Query{Op: enginehost.OpUnload})
	return err
}

type heldInstance struct {
	image *heldImage
	id    int
}

func (i *heldInstance) Call(ctx context.Context, request []byte) ([]byte, error) {
	r, err := i.image.ask(ctx, &enginehost.Query{Op: enginehost.OpCall, ID: i.id, Body: request})
	if err != nil {
		return nil, err
	}
	return r.Body, nil
}

func (i *heldInstance) Scope() runtime.Scope {
	return runtime.Scope{Own: []int{i.image.proc.Load().Pid}}
}

// Regions asks the host where the instance lies.
func (i *heldInstance) Regions(ctx context.Context) ([]runtime.Region, error) {
	r, err := i.image.ask(ctx, &enginehost.Query{Op: enginehost.OpRegions, ID: i.id})
	if err != nil {
		return nil, err
	}
	return r.Regions, nil
}

// Close frees the instance. Where the host has ended there is nothing to free. A
// call, of this instance or of another, that keeps the host for process.Grace is
// given up with the host, and the image can only be closed.
func (i *heldInstance) Close() error {
	return i.image.end(&enginehost.Query{Op: enginehost.OpClose, ID: i.id})
}
