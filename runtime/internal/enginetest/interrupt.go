package enginetest

import (
	"context"
	"errors"
	goruntime "runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// Interrupts tests that a call of the C guest ends with its context, and nothing
// else does.
func Interrupts(t *testing.T, s Subject) {
	s.begin(t)
	t.Run("endless", s.testEndless)
	t.Run("bystander", s.testBystander)
	t.Run("together", s.testTogether)
	t.Run("at the end", s.testAtTheEnd)
}

// loop is what the guest's loop gives.
func loop(rounds int) string {
	x := uint32(1)
	for range rounds {
		x = x*1664525 + 1013904223
	}
	return strconv.FormatUint(uint64(x), 10)
}

var errEnough = errors.New("enough")

// testEndless interrupts calls that do not return, each of a new instance and as
// many at a time as there are processors.
func (s *Subject) testEndless(t *testing.T) {
	img := s.image(t, workload.C, "", true)
	endings := map[string]struct {
		end   func(context.Context) (context.Context, context.CancelFunc)
		want  error
		early bool // perhaps always before the call
	}{
		"deadline": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, 10*time.Millisecond)
		}, context.DeadlineExceeded, false},
		"deadline with a cause": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeoutCause(ctx, 10*time.Millisecond, errEnough)
		}, errEnough, false},
		"cancelled": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancelCause(ctx)
			timer := time.AfterFunc(10*time.Millisecond, func() { cancel(errEnough) })
			return ctx, func() { timer.Stop() }
		}, errEnough, false},
		"cancelled as it begins": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			go cancel()
			return ctx, cancel
		}, context.Canceled, true},
	}
	for name, e := range endings {
		t.Run(name, func(t *testing.T) {
			var all sync.WaitGroup
			var refused atomic.Int32
			for range goruntime.GOMAXPROCS(0) {
				all.Go(func() {
					for range 4 {
						inst, err := img.Start(t.Context(), unmarked)
						if err != nil {
							t.Error(err)
							return
						}
						if answer, err := inst.Call(t.Context(), []byte("loop 100")); err != nil || string(answer) != loop(100) {
							t.Errorf("a guarded call: %q, error %v", answer, err)
						}
						ctx, stop := e.end(t.Context())
						if answer, err := inst.Call(ctx, []byte("spin")); !errors.Is(err, e.want) {
							t.Errorf("the endless call: %q, error %v; want %v", answer, err, e.want)
						}
						stop()
						// A call whose context ended before it leaves the instance as it was.
						if answer, err := inst.Call(t.Context(), []byte("loop 100")); err != nil {
							refused.Add(1)
						} else if string(answer) != loop(100) {
							t.Errorf("an interrupted instance answers %q", answer)
						}
						for range 2 {
							if err := inst.Close(); err != nil {
								t.Error(err)
							}
						}
					}
				})
			}
			all.Wait()
			if refused.Load() == 0 && !e.early {
				t.Error("all interrupted instances answer again")
			}
			if got := ask(t, start(t, img), "loop 100"); got != loop(100) {
				t.Errorf("an instance of the same image after those: %q", got)
			}
		})
	}
}

// testBystander interrupts instances while another, which is watched too, is
// in a long call.
func (s *Subject) testBystander(t *testing.T) {
	img := s.image(t, workload.C, "", true)
	bystander, idle := start(t, img), start(t, img)
	request, want := []byte("loop "+strconv.Itoa(s.Rounds)), loop(s.Rounds)
	interrupted := 0 // while the bystander's call was under way
	for interrupted == 0 && !t.Failed() {
		var begun, ended atomic.Bool
		var watched sync.WaitGroup
		watched.Go(func() {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			begun.Store(true)
			answer, err := bystander.Call(ctx, request)
			ended.Store(true)
			if err != nil || string(answer) != want {
				t.Errorf("a call while another was interrupted: %q, error %v; want %s", answer, err, want)
			}
		})
		for !ended.Load() && !t.Failed() {
			during := begun.Load()
			s.interrupt(t, img)
			if during && !ended.Load() {
				interrupted++
			}
		}
		watched.Wait()
	}
	t.Logf("%d calls were interrupted during one of %d rounds", interrupted, s.Rounds)
	if got := ask(t, idle, "loop 100"); got != loop(100) {
		t.Errorf("an instance that was idle meanwhile: %q", got)
	}
}

// interrupt interrupts an endless call of a new instance.
func (s *Subject) interrupt(t *testing.T, img runtime.Image) {
	inst, err := img.Start(t.Context(), unmarked)
	if err != nil {
		t.Error(err)
		return
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := inst.Call(ctx, []byte("spin")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the endless call: %v", err)
	}
	if err := inst.Close(); err != nil {
		t.Error(err)
	}
}

// testTogether ends the calls of several instances at the same time, over and
// over: that one is told must not keep another from hearing.
func (s *Subject) testTogether(t *testing.T) {
	img := s.image(t, workload.C, "", true)
	for range 10 {
		ctx, cancel := context.WithCancelCause(t.Context())
		var begun, all sync.WaitGroup
		for range 4 {
			inst := start(t, img)
			begun.Add(1)
			all.Go(func() {
				begun.Done()
				if answer, err := inst.Call(ctx, []byte("spin")); !errors.Is(err, errEnough) {
					t.Errorf("the endless call: %q, error %v", answer, err)
				}
				inst.Close()
			})
		}
		begun.Wait()
		cancel(errEnough)
		all.Wait()
	}
}

// testAtTheEnd lets contexts end when their calls are about to return: then the
// answer is right, or the error is the context's and the instance is done with.
func (s *Subject) testAtTheEnd(t *testing.T) {
	img := s.image(t, workload.C, "", true)
	request, want := []byte("loop 1000"), loop(1000)
	inst := start(t, img)
	begin := time.Now()
	for range 100 {
		ask(t, inst, string(request))
	}
	usual := time.Since(begin) / 100
	var answered, ended int
	for n := range 150 {
		inst, err := img.Start(t.Context(), unmarked)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		timer := time.AfterFunc(usual*time.Duration(n)/75, func() { cancel(errEnough) })
		answer, err := inst.Call(ctx, request)
		switch {
		case err == nil && string(answer) == want:
			answered++
		case errors.Is(err, errEnough):
			ended++
			if answer, err := inst.Call(t.Context(), request); err == nil && string(answer) != want {
				t.Errorf("after the error the instance answers %q", answer)
			}
		default:
			t.Errorf("answer %q, error %v", answer, err)
		}
		timer.Stop()
		cancel(nil)
		if err := inst.Close(); err != nil {
			t.Error(err)
		}
	}
	t.Logf("%d calls answered, %d ended with their contexts", answered, ended)
}
