package process

import (
	"context"
	"time"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/worker"
)

// A Worker is a child that speaks the worker protocol: an instance that is a
// process.
type Worker struct {
	*Process
	conn *worker.Conn
}

// StartWorker starts a worker and waits until it is ready. created and ready
// are when its program had been executed and when it said so.
func StartWorker(ctx context.Context, program Program) (w *Worker, created, ready time.Time, err error) {
	if ctx.Err() != nil {
		return nil, created, ready, context.Cause(ctx)
	}
	p, err := Start(program)
	if err != nil {
		return nil, created, ready, err
	}
	created = time.Now()
	w = &Worker{Process: p, conn: worker.New(p.In, p.Out)}
	err = w.conn.Ready(ctx)
	ready = time.Now()
	if err != nil {
		err = p.Explain(err)
		p.Close()
		return nil, created, ready, err
	}
	return w, created, ready, nil
}

// Call exchanges one request for an answer.
func (w *Worker) Call(ctx context.Context, request []byte) ([]byte, error) {
	answer, err := w.conn.Call(ctx, request)
	return answer, w.Explain(err)
}

// Scope names the process.
func (w *Worker) Scope() runtime.Scope { return runtime.Scope{Own: []int{w.Pid}} }
