package measure_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0132abb7/wasmbench/measure"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// An errand answers calls until it has had its fill, and then wrongly.
type errand struct {
	fakeInstance
	right, calls int
}

func (e *errand) Call(ctx context.Context, request []byte) ([]byte, error) {
	answer, err := e.fakeInstance.Call(ctx, request)
	if e.calls++; e.calls > e.right && err == nil {
		answer = []byte("pang")
	}
	return answer, err
}

func newErrand(right int, serve time.Duration) *errand {
	return &errand{fakeInstance: fakeInstance{&fake{answer: "pong", serve: serve}}, right: right}
}

func TestBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inst := newErrand(1<<30, 3*ms)
		s, err := measure.Batches(t.Context(), inst, inst, 4, 5, measure.CallOptions{})
		if err != nil || !slices.Equal(s.Times, []time.Duration{15 * ms, 15 * ms, 15 * ms, 15 * ms}) || s.Operations != 5 || s.Wall != 60*ms || inst.calls != 20 {
			t.Errorf("%+v of %d calls, error %v", s, inst.calls, err)
		}
		want := []measure.Metric{{Value: 3e6, Unit: "ns/op"}, {Value: 3e6, Unit: "max-ns"}}
		if got := s.Metrics(); !slices.Equal(got, want) {
			t.Errorf("metrics %v, want %v", got, want)
		}
		want = []measure.Metric{{Value: 0.75, Unit: "ns/op"}, {Value: 0.75, Unit: "max-ns"}}
		if got := s.Each(4_000_000).Metrics(); !slices.Equal(got, want) {
			t.Errorf("metrics of each of 4 million operations %v, want %v", got, want)
		}
		if s, err = measure.Batches(t.Context(), inst, inst, 4, 5, measure.CallOptions{Budget: 1}); err != nil || len(s.Times) != 1 {
			t.Errorf("with a budget: %d batches, error %v", len(s.Times), err)
		}
		if _, err = measure.Batches(t.Context(), inst, inst, 4, 5, measure.CallOptions{Limit: 4 * ms}); err != nil {
			t.Errorf("calls within their limit: %v", err)
		}
		if _, err = measure.Batches(t.Context(), inst, inst, 4, 5, measure.CallOptions{Limit: 2 * ms}); !errors.As(err, new(*measure.LimitError)) {
			t.Errorf("calls over their limit: %v", err)
		}
		if _, err = measure.Batches(t.Context(), inst, inst, 4, 0, measure.CallOptions{}); err == nil {
			t.Error("batches of no calls gave no error")
		}
	})
}

func TestBatchesFail(t *testing.T) {
	inst := newErrand(7, 0)
	_, err := measure.Batches(t.Context(), inst, inst, 4, 5, measure.CallOptions{})
	if !errors.As(err, new(*workload.WrongAnswer)) || !strings.Contains(err.Error(), "after 1 of 4 batches: after 2 of 5 calls") {
		t.Errorf("the eighth call was wrong: %v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	cancel(why)
	if _, err := measure.Batches(ctx, inst, inst, 4, 5, measure.CallOptions{}); !errors.Is(err, why) {
		t.Errorf("the context had ended: %v", err)
	}
}

// A batchTimer times batches by itself, each of its calls a quarter of a nanosecond.
type batchTimer struct {
	fakeInstance
	asked  []int
	answer string
	loses  int
}

func (b *batchTimer) TimeBatches(_ context.Context, n, size int, request []byte, check func([]byte) error) ([]time.Duration, error) {
	b.asked = append(b.asked, n)
	if err := check([]byte(b.answer)); err != nil {
		return nil, err
	}
	return slices.Repeat([]time.Duration{time.Duration(size) / 4}, n-b.loses), nil
}

func TestBatchesAreLeftToTheInstance(t *testing.T) {
	b := &batchTimer{fakeInstance: fakeInstance{&fake{}}, answer: "pong"}
	s, err := measure.Batches(t.Context(), b, b, 100, 1000, measure.CallOptions{})
	if err != nil || len(s.Times) != 100 || len(b.asked) > 8 {
		t.Fatalf("%d batches, asked for %v, error %v", len(s.Times), b.asked, err)
	}
	if ms := s.Metrics(); ms[0] != (measure.Metric{Value: 0.25, Unit: "ns/op"}) {
		t.Errorf("metrics %v of calls of a quarter of a nanosecond", ms)
	}
	b.loses = 1
	if s, err := measure.Batches(t.Context(), b, b, 100, 1000, measure.CallOptions{}); err == nil {
		t.Errorf("a timer that loses batches: %d batches and no error", len(s.Times))
	}
	b.answer = "pang"
	if _, err := measure.Batches(t.Context(), b, b, 3, 10, measure.CallOptions{}); !errors.As(err, new(*workload.WrongAnswer)) {
		t.Errorf("a wrong answer among the batch: %v", err)
	}
}
