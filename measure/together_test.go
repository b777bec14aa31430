package measure_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0132abb7/wasmbench/measure"
	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// part returns one whose instance answers after a planted time.
func part(answer string, serve time.Duration) measure.Part {
	f := &fake{answer: answer, serve: serve}
	return measure.Part{Instance: &fakeInstance{f}, Workload: f}
}

func TestTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, test := range map[string]struct {
			parts []measure.Part
			took  time.Duration
		}{
			"one":              {[]measure.Part{part("pong", 10*ms)}, 10 * ms},
			"the last longest": {[]measure.Part{part("pong", 10*ms), part("pong", 30*ms)}, 30 * ms},
			"the first":        {[]measure.Part{part("pong", 30*ms), part("pong", 10*ms), part("pong", 20*ms)}, 30 * ms},
		} {
			if took, err := measure.Together(t.Context(), test.parts, measure.CallOptions{Limit: 30*ms + 1}); err != nil || took != test.took {
				t.Errorf("%s: %v, error %v; want %v", name, took, err, test.took)
			}
		}
	})
}

func TestTogetherFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ok, wrong := part("pong", ms), part("pang", ms)
		took, err := measure.Together(t.Context(), []measure.Part{ok, wrong, part("pong", 2*ms), wrong}, measure.CallOptions{})
		if !errors.As(err, new(*workload.WrongAnswer)) || took != 0 || !strings.Contains(err.Error(), "part 2 of 4, fake:") || !strings.Contains(err.Error(), "part 4 of 4, fake:") || strings.Contains(err.Error(), "part 3") {
			t.Errorf("wrong answers of the second and fourth: %v, %v", took, err)
		}
		_, err = measure.Together(t.Context(), []measure.Part{ok, part("pong", time.Hour)}, measure.CallOptions{Limit: time.Minute})
		if !errors.As(err, new(*measure.LimitError)) || !strings.Contains(err.Error(), "part 2 of 2") || strings.Contains(err.Error(), "part 1") {
			t.Errorf("one is over the limit: %v", err)
		}
		if took, err := measure.Together(t.Context(), nil, measure.CallOptions{}); err == nil {
			t.Errorf("nobody: %v and no error", took)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		why := errors.New("enough")
		time.AfterFunc(time.Second, func() { cancel(why) })
		if _, err := measure.Together(ctx, []measure.Part{part("pong", time.Hour), part("pong", time.Hour)}, measure.CallOptions{}); !errors.Is(err, why) {
			t.Errorf("the context ended meanwhile: %v", err)
		}
		if _, err := measure.Together(ctx, []measure.Part{ok}, measure.CallOptions{}); !errors.Is(err, why) {
			t.Errorf("the context had ended: %v", err)
		}
	})
}

// A companion is an instance of a process whose clock says 5 ms, whatever passes
// on the harness's.
type companion struct {
	fakeInstance
	pid     int
	answers []string
	took    time.Duration
	err     error
	called  int // how many together
}

func (c *companion) Scope() runtime.Scope { return runtime.Scope{Own: []int{c.pid}} }

func (c *companion) CallTogether(_ context.Context, others []runtime.Instance, requests [][]byte) ([][]byte, time.Duration, error) {
	c.called = 1 + len(others)
	time.Sleep(100 * ms)
	var answers [][]byte
	for _, a := range c.answers {
		answers = append(answers, []byte(a))
	}
	for _, r := range requests {
		if string(r) != "ping" {
			return nil, 0, errors.New("not the request")
		}
	}
	return answers, c.took, c.err
}

func companions(pids ...int) (first *companion, parts []measure.Part) {
	for range pids {
		c := &companion{fakeInstance: fakeInstance{&fake{answer: "pong", serve: 20 * ms}}, pid: pids[len(parts)], took: 5 * ms}
		parts = append(parts, measure.Part{Instance: c, Workload: c})
	}
	first = parts[0].Instance.(*companion)
	for range pids {
		first.answers = append(first.answers, "pong")
	}
	return first, parts
}

func TestTogetherOfCompanions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, test := range map[string]struct {
			pids   []int
			called int
			took   time.Duration
		}{
			"alone":         {[]int{7}, 1, 5 * ms},
			"one process":   {[]int{7, 7, 7}, 3, 5 * ms},
			"two processes": {[]int{7, 7, 8}, 0, 20 * ms},
		} {
			first, parts := companions(test.pids...)
			if took, err := measure.Together(t.Context(), parts, measure.CallOptions{}); err != nil || took != test.took || first.called != test.called {
				t.Errorf("%s: %v, %d were called together, error %v; want %v, %d", name, took, first.called, err, test.took, test.called)
			}
		}
		first, parts := companions(7, 7)
		if took, err := measure.Together(t.Context(), append(parts, part("pong", 30*ms)), measure.CallOptions{}); err != nil || took != 30*ms || first.called != 0 {
			t.Errorf("with one that is no companion: %v, %d were called together, error %v", took, first.called, err)
		}
	})
}

func TestTogetherOfCompanionsFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refused := errors.New("refused")
		for name, test := range map[string]struct {
			plant func(*companion)
			is    func(error) bool
		}{
			"refused": {func(c *companion) { c.err = refused }, func(err error) bool { return errors.Is(err, refused) }},
			"wrong answer": {func(c *companion) { c.answers[1] = "pang" }, func(err error) bool {
				return strings.Contains(err.Error(), "part 2 of 2, fake: ") && errors.As(err, new(*workload.WrongAnswer))
			}},
			"too few answers":  {func(c *companion) { c.answers = c.answers[:1] }, func(err error) bool { return strings.Contains(err.Error(), "1 answers") }},
			"a clock at stand": {func(c *companion) { c.took = 0 }, func(err error) bool { return strings.Contains(err.Error(), "in 0s") }},
		} {
			first, parts := companions(7, 7)
			test.plant(first)
			if took, err := measure.Together(t.Context(), parts, measure.CallOptions{}); err == nil || !test.is(err) || took != 0 {
				t.Errorf("%s: %v, error %v", name, took, err)
			}
		}
	})
}
