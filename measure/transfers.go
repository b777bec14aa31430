package measure

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// A Transfer is a workload that moves bytes to or from a file.
type Transfer interface {
	workload.Workload
	// Bytes is how many bytes it moves.
	Bytes() int64
	// Count is how many operations it consists of that the guest times one by
	// one, or 0 where it times none.
	Count() int
	// Latencies returns what an answer that Check has passed says of how long
	// each operation took.
	Latencies(answer []byte) ([]time.Duration, error)
}

// TransferOptions say how transfers are repeated. The zero value sets no bound.
type TransferOptions struct {
	// Before runs ahead of each transfer, outside the clock.
	Before func(context.Context) error
	// Budget ends the sample early: no transfer is begun once so much time has
	// passed, all included. One is always made. 0 is no bound.
	Budget time.Duration
	// Limit ends with a *LimitError when one transfer takes longer. 0 is no
	// limit.
	Limit time.Duration
}

// A TransferSample is what Transfers measured.
type TransferSample struct {
	Times      []time.Duration // of each transfer, from before Instance.Call until its answer was checked
	Bytes      int64           // that all transfers moved
	Operations int             // in all transfers; 0 where the guest times none
	Latencies  []time.Duration // of each operation, by the guest's clock
}

// Transfers makes n transfers by a live instance, one after the other, and checks
// each answer: op(0), op(1) and so on, each made outside the clock when the one
// before has been checked. All have counted operations or none has.
//
// The guest's times of its operations are for their percentiles alone; they must
// not add up to more than the call took by the harness's clock.
func Transfers(ctx context.Context, inst runtime.Instance, op func(i int) (Transfer, error), n int, opts TransferOptions) (TransferSample, error) {
	var s TransferSample
	err := sample(ctx, n, opts.Budget, opts.Limit, func(ctx context.Context, reset func(int)) error {
		t, err := op(len(s.Times))
		if err != nil {
			return err
		}
		if i := len(s.Times); i > 0 && (t.Count() > 0) != (s.Operations > 0) {
			return errors.New("a transfer whose operations are timed one by one and one whose are not have no figure in common")
		}
		if opts.Before != nil {
			if err := opts.Before(ctx); err != nil {
				return err
			}
		}
		collect()
		return s.transfer(ctx, inst, t, reset)
	})
	if err != nil {
		return TransferSample{}, fmt.Errorf("after %d of %d transfers: %w", len(s.Times), n, err)
	}
	return s, nil
}

// transfer adds a transfer to the sample.
func (s *TransferSample) transfer(ctx context.Context, inst runtime.Instance, t Transfer, reset func(int)) error {
	request := t.Request()
	reset(1)
	begin := time.Now()
	answer, err := inst.Call(ctx, request)
	if err == nil {
		err = t.Check(answer)
	}
	took := time.Since(begin)
	reset(0)
	if err != nil {
		return because(ctx, err)
	}
	if t.Count() > 0 {
		latencies, err := t.Latencies(answer)
		if err == nil {
			err = plausible(latencies, t.Count(), took)
		}
		if err != nil {
			return fmt.Errorf("how long each operation took: %w", err)
		}
		s.Latencies = append(s.Latencies, latencies...)
	}
	s.Times = append(s.Times, took)
	s.Bytes += t.Bytes()
	s.Operations += t.Count()
	return nil
}

// plausible returns an error where a guest's times of its operations cannot be
// right.
func plausible(latencies []time.Duration, count int, took time.Duration) error {
	if len(latencies) != count {
		return fmt.Errorf("the guest timed %d of %d operations", len(latencies), count)
	}
	// A clock that is not adjusted as the harness's may be off by 0.05 %.
	if sum := total(latencies); sum > took+took/1000 {
		return fmt.Errorf("%v in all by the guest's clock, of a call that took %v", sum, took)
	}
	return nil
}

func total(times []time.Duration) (sum time.Duration) {
	for _, t := range times {
		sum += t
	}
	return sum
}

// Metrics returns read-B/s, or write-B/s for transfers that write: the bytes of all
// by the time of all. Before it comes the distribution of the transfers' times;
// where operations are counted it is that of the guest's times of them, but ns/op is
// the harness's time by their number, the reading of the guest's clock included.
func (s TransferSample) Metrics(write bool) []Metric {
	if len(s.Times) == 0 {
		return nil
	}
	took := total(s.Times)
	ms := NewDistribution(s.Times).Metrics()
	if s.Operations > 0 {
		ms = NewDistribution(s.Latencies).Metrics()
		ms[0].Value = float64(took) / float64(s.Operations)
		// Shorter than the guest's clock can tell is not a figure.
		ms = slices.DeleteFunc(ms, func(m Metric) bool { return m.Value == 0 })
	}
	if s.Bytes > 0 && took > 0 {
		unit := "read-B/s"
		if write {
			unit = "write-B/s"
		}
		ms = append(ms, Metric{float64(s.Bytes) / took.Seconds(), unit})
	}
	return ms
}
