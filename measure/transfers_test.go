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

// A transfer of so many bytes says that its operations took as long as planted.
type transfer struct {
	*fake
	bytes     int64
	count     int
	latencies []time.Duration
	err       error
}

func (t *transfer) Bytes() int64 { return t.bytes }
func (t *transfer) Count() int   { return t.count }
func (t *transfer) Latencies(answer []byte) ([]time.Duration, error) {
	if string(answer) != "pong" {
		return nil, errors.New("not the answer")
	}
	return t.latencies, t.err
}

func TestTransfers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{answer: "pong", serve: 20 * ms}
		var made []int
		op := func(i int) (measure.Transfer, error) {
			made = append(made, i)
			time.Sleep(time.Second)
			return &transfer{fake: f, bytes: 1 << 20}, nil
		}
		before := 0
		opts := measure.TransferOptions{Limit: 20*ms + 1, Before: func(context.Context) error { before++; time.Sleep(time.Second); return nil }}
		s, err := measure.Transfers(t.Context(), &fakeInstance{f}, op, 3, opts)
		if err != nil || !slices.Equal(s.Times, []time.Duration{20 * ms, 20 * ms, 20 * ms}) || s.Bytes != 3<<20 || s.Operations != 0 || before != 3 || !slices.Equal(made, []int{0, 1, 2}) {
			t.Fatalf("%+v of %v, %d times before, error %v", s, made, before, err)
		}
		want := []measure.Metric{{Value: 20e6, Unit: "ns/op"}, {Value: 20e6, Unit: "max-ns"}, {Value: 50 << 20, Unit: "read-B/s"}}
		if got := s.Metrics(false); !slices.Equal(got, want) {
			t.Errorf("metrics %v, want %v", got, want)
		}
		want[2].Unit = "write-B/s"
		if got := s.Metrics(true); !slices.Equal(got, want) {
			t.Errorf("metrics %v, want %v", got, want)
		}
		opts.Budget = 3 * time.Second
		if s, err := measure.Transfers(t.Context(), &fakeInstance{f}, op, 10, opts); err != nil || len(s.Times) != 2 {
			t.Errorf("with a budget: %d transfers, error %v", len(s.Times), err)
		}
		opts.Budget = 1
		if s, err := measure.Transfers(t.Context(), &fakeInstance{f}, op, 10, opts); err != nil || len(s.Times) != 1 {
			t.Errorf("with a budget for one: %d transfers, error %v", len(s.Times), err)
		}
	})
}

func TestTransfersOfOperations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{answer: "pong", serve: 10 * ms}
		op := func(i int) (measure.Transfer, error) {
			l := slices.Repeat([]time.Duration{time.Duration(i+1) * time.Microsecond}, 250)
			return &transfer{fake: f, bytes: 250 * 4096, count: 250, latencies: l}, nil
		}
		s, err := measure.Transfers(t.Context(), &fakeInstance{f}, op, 4, measure.TransferOptions{})
		if err != nil || s.Operations != 1000 || len(s.Latencies) != 1000 {
			t.Fatalf("%d operations, %d latencies, error %v", s.Operations, len(s.Latencies), err)
		}
		want := []measure.Metric{
			{Value: 40e3, Unit: "ns/op"}, // by the harness
			{Value: 2e3, Unit: "p50-ns"}, {Value: 4e3, Unit: "p90-ns"}, {Value: 4e3, Unit: "p99-ns"}, {Value: 4e3, Unit: "max-ns"},
			{Value: 1000 * 4096 / 0.04, Unit: "read-B/s"},
		}
		if got := s.Metrics(false); !slices.Equal(got, want) {
			t.Errorf("metrics %v, want %v", got, want)
		}
		few := measure.TransferSample{Times: s.Times[:1], Operations: 250, Latencies: s.Latencies[:250]}
		if got, want := unitsOf(few.Metrics(true)), []string{"ns/op", "p50-ns", "p90-ns", "max-ns"}; !slices.Equal(got, want) {
			t.Errorf("of 250 operations without bytes: units %v, want %v", got, want)
		}
		coarse := measure.TransferSample{Times: s.Times[:1], Operations: 10, Latencies: make([]time.Duration, 10)}
		if got, want := unitsOf(coarse.Metrics(true)), []string{"ns/op"}; !slices.Equal(got, want) {
			t.Errorf("of a clock that is too coarse: units %v, want %v", got, want)
		}
		if got := (measure.TransferSample{}).Metrics(true); len(got) != 0 {
			t.Errorf("of nothing: %v", got)
		}
	})
}

func TestTransfersFail(t *testing.T) {
	refused := errors.New("refused")
	of := func(f *fake, t *transfer) func(int) (measure.Transfer, error) {
		t.fake = f
		return func(int) (measure.Transfer, error) { return t, nil }
	}
	wrong := func(err error) bool { return errors.As(err, new(*workload.WrongAnswer)) }
	says := func(text string) func(error) bool {
		return func(err error) bool { return strings.Contains(err.Error(), text) }
	}
	is := func(target error) func(error) bool { return func(err error) bool { return errors.Is(err, target) } }
	two := []time.Duration{4 * ms, 5 * ms}
	good := &fake{answer: "pong", serve: 10 * ms}
	for name, test := range map[string]struct {
		op   func(int) (measure.Transfer, error)
		inst *fake
		opts measure.TransferOptions
		is   func(error) bool
	}{
		"wrong answer": {of(good, &transfer{}), &fake{answer: "pang"}, measure.TransferOptions{}, wrong},
		"over the limit": {of(good, &transfer{}), good, measure.TransferOptions{Limit: 9 * ms}, func(err error) bool {
			return errors.As(err, new(*measure.LimitError))
		}},
		"no operation":      {func(int) (measure.Transfer, error) { return nil, refused }, good, measure.TransferOptions{}, is(refused)},
		"before":            {of(good, &transfer{}), good, measure.TransferOptions{Before: func(context.Context) error { return refused }}, is(refused)},
		"no latencies":      {of(good, &transfer{count: 2, err: refused}), good, measure.TransferOptions{}, is(refused)},
		"too few latencies": {of(good, &transfer{count: 3, latencies: two}), good, measure.TransferOptions{}, says("2 of 3 operations")},
		"a clock that runs": {of(good, &transfer{count: 2, latencies: []time.Duration{5 * ms, 6 * ms}}), good, measure.TransferOptions{}, says("11ms in all by the guest's clock")},
	} {
		synctest.Test(t, func(t *testing.T) {
			s, err := measure.Transfers(t.Context(), &fakeInstance{test.inst}, test.op, 3, test.opts)
			if err == nil || !test.is(err) || !strings.Contains(err.Error(), "after 0 of 3 transfers") || s.Times != nil {
				t.Errorf("%s: %+v, error %v", name, s, err)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		kinds := []*transfer{{fake: good, count: 2, latencies: two}, {fake: good}}
		_, err := measure.Transfers(t.Context(), &fakeInstance{good}, func(i int) (measure.Transfer, error) { return kinds[i], nil }, 2, measure.TransferOptions{})
		if err == nil || !strings.Contains(err.Error(), "after 1 of 2 transfers: ") {
			t.Errorf("two kinds: %v", err)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(25*ms, func() { cancel(refused) })
		if _, err := measure.Transfers(ctx, &fakeInstance{good}, of(good, &transfer{}), 9, measure.TransferOptions{}); !errors.Is(err, refused) || !strings.Contains(err.Error(), "after 2 of 9 transfers") {
			t.Errorf("the context ended meanwhile: %v", err)
		}
	})
}
