package measure_test

import (
	"context"
	"time"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// A fake is a workload and its image: every phase takes as long as planted.
type fake struct {
	phases   []planted
	serve    time.Duration
	stop     time.Duration
	answer   string
	startErr error

	started, closed, unloaded int
	order                     []string
}

type planted struct {
	phase runtime.Phase
	takes time.Duration
}

func (f *fake) Name() string                                            { return "fake" }
func (f *fake) Artifact(context.Context, workload.Form) (string, error) { return "", nil }
func (f *fake) Request() []byte                                         { return []byte("ping") }
func (f *fake) Check(answer []byte) error {
	if string(answer) != "pong" {
		return &workload.WrongAnswer{Workload: "fake", Got: answer, Want: []byte("pong")}
	}
	return nil
}

func (f *fake) Bytes() int64 { return 0 }
func (f *fake) Close() error { return nil }

func (f *fake) Start(ctx context.Context, mark func(runtime.Phase, time.Time)) (runtime.Instance, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if f.startErr != nil {
		return nil, f.startErr
	}
	for _, p := range f.phases {
		time.Sleep(p.takes)
		mark(p.phase, time.Now())
	}
	f.started++
	f.order = append(f.order, "start")
	return &fakeInstance{f}, nil
}

func (f *fake) Unload(context.Context) error {
	f.unloaded++
	f.order = append(f.order, "unload")
	return nil
}

type fakeInstance struct{ *fake }

func (i *fakeInstance) Call(ctx context.Context, _ []byte) ([]byte, error) {
	select {
	case <-time.After(i.serve):
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	return []byte(i.answer), nil
}

func (i *fakeInstance) Scope() runtime.Scope { return runtime.Scope{} }

func (i *fakeInstance) Close() error {
	time.Sleep(i.stop)
	i.closed++
	return nil
}
