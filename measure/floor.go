package measure

import (
	"context"
	"time"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// Floor times n starts of a runtime that does nothing and answers at once: what
// the harness itself adds to every start.
func Floor(ctx context.Context, n int) (Distribution, error) {
	ts, err := Starts(ctx, nothing{}, nothing{}, n, StartOptions{})
	if err != nil {
		return Distribution{}, err
	}
	first := make([]time.Duration, len(ts))
	for i := range ts {
		first[i] = ts[i].FirstAnswer()
	}
	return NewDistribution(first), nil
}

// nothing is a workload, its image and its instance.
type nothing struct{}

func (nothing) Name() string    { return "nothing" }
func (nothing) Request() []byte { return nil }
func (nothing) Check(answer []byte) error {
	if len(answer) != 0 {
		return &workload.WrongAnswer{Workload: "nothing", Got: answer}
	}
	return nil
}
func (nothing) Artifact(context.Context, workload.Form) (string, error) { return "", nil }
func (nothing) Start(_ context.Context, mark func(runtime.Phase, time.Time)) (runtime.Instance, error) {
	mark(runtime.Ready, time.Now())
	return nothing{}, nil
}
func (nothing) Call(context.Context, []byte) ([]byte, error) { return nil, nil }
func (nothing) Scope() runtime.Scope                         { return runtime.Scope{} }
func (nothing) Bytes() int64                                 { return 0 }
func (nothing) Close() error                                 { return nil }
