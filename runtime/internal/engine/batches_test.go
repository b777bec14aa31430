package engine_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/wasmtest"
)

// hundredth answers nothing 99 times and a byte from then on.
var hundredth = []byte{
	0x41, 0, 0x41, 0, 0x28, 2, 0, 0x41, 1, 0x6a, 0x36, 2, 0, // the number at 0 and 1 more, there
	0x41, 0, 0x28, 2, 0, 0x41, 0xe4, 0, 0x4f, 0xad, // whether it is 100 or more, as the length
	0x42, 8, 0x42, 0x20, 0x86, 0x84, // at 8
}

var errWrong = errors.New("wrong")

// nothing is the check of an answer that has to be empty.
func nothing(answer []byte) error {
	if len(answer) > 0 {
		return errWrong
	}
	return nil
}

func TestBatches(t *testing.T) {
	embedded(t, func(t *testing.T, r runtime.Runtime) {
		img := prepare(t, r, modules{reactor: wasmtest.Write(t, wasmtest.Reactor(hundredth))})
		for _, tt := range []struct {
			n, size int
			want    error
		}{
			{0, 5, nil}, {1, 99, nil}, {99, 1, nil}, {9, 11, nil},
			{1, 100, errWrong}, {100, 1, errWrong}, {10, 10, errWrong}, {2, 1000, errWrong},
		} {
			inst := start(t, img, 1)[0]
			times, err := inst.(runtime.BatchTimer).TimeBatches(t.Context(), tt.n, tt.size, nil, nothing)
			if !errors.Is(err, tt.want) || tt.want != nil && times != nil {
				t.Errorf("%d batches of %d: %d times, error %v, want %v", tt.n, tt.size, len(times), err, tt.want)
			}
			if tt.want == nil && (len(times) != tt.n || tt.n > 0 && slices.Min(times) <= 0) {
				t.Errorf("%d batches of %d took %v", tt.n, tt.size, times)
			}
		}
		for _, size := range []int{0, -1} {
			if _, err := start(t, img, 1)[0].(runtime.BatchTimer).TimeBatches(t.Context(), 1, size, nil, nothing); err == nil {
				t.Errorf("batches of %d were timed", size)
			}
		}
	})
}

// A context that ends between two of the host's batches costs nothing.
func TestBatchesHeedTheContext(t *testing.T) {
	embedded(t, func(t *testing.T, r runtime.Runtime) {
		inst := start(t, prepare(t, r, both(t, wasmtest.Echo)), 1)[0]
		for _, size := range []int{1, 1000} {
			ctx, cancel := context.WithCancelCause(t.Context())
			_, err := inst.(runtime.BatchTimer).TimeBatches(ctx, 1<<30, size, []byte("hello"), func([]byte) error {
				cancel(errWrong)
				return nil
			})
			if !errors.Is(err, errWrong) {
				t.Errorf("error %v, want the context's cause", err)
			}
			if answer, err := inst.Call(t.Context(), []byte("hello")); string(answer) != "hello" {
				t.Errorf("afterwards: answer %q, error %v", answer, err)
			}
		}
	})
}
