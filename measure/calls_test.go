package measure_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-0132abb7/wasmbench/measure"
	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/workload"
)

func TestCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inst := &fakeInstance{&fake{answer: "pong", serve: 3 * ms}}
		s, err := measure.Calls(t.Context(), inst, inst, 4, measure.CallOptions{})
		if err != nil || len(s.Times) != 4 || s.Wall != 12*ms {
			t.Errorf("%d calls in %v, error %v", len(s.Times), s.Wall, err)
		}
		if s, err = measure.Calls(t.Context(), inst, inst, 4, measure.CallOptions{Budget: 5 * ms}); err != nil || len(s.Times) != 2 {
			t.Errorf("with a budget: %d calls, error %v", len(s.Times), err)
		}
		if _, err = measure.Calls(t.Context(), inst, inst, 4, measure.CallOptions{Limit: 4 * ms}); err != nil {
			t.Errorf("calls within their limit: %v", err)
		}
		if _, err = measure.Calls(t.Context(), inst, inst, 4, measure.CallOptions{Limit: 2 * ms}); !errors.As(err, new(*measure.LimitError)) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a call over its limit: %v", err)
		}
		inst.answer = "pang"
		if s, err = measure.Calls(t.Context(), inst, inst, 4, measure.CallOptions{}); !errors.As(err, new(*workload.WrongAnswer)) || len(s.Times) != 0 {
			t.Errorf("a wrong answer: %d calls were timed, error %v", len(s.Times), err)
		}
	})
}

// counted is a workload whose request is a number and whose answer is the same.
type counted struct {
	*fake
	n int
}

func (c counted) Request() []byte { return strconv.AppendInt(nil, int64(c.n), 10) }
func (c counted) Check(answer []byte) error {
	if want := c.Request(); !bytes.Equal(answer, want) {
		return &workload.WrongAnswer{Workload: "counted", Got: answer, Want: want}
	}
	return nil
}

// numbered answers 0, 1, 2, and so on, whatever it is asked.
type numbered struct {
	*fakeInstance
	calls int
}

func (i *numbered) Call(ctx context.Context, request []byte) ([]byte, error) {
	i.calls++
	_, err := i.fakeInstance.Call(ctx, request)
	return strconv.AppendInt(nil, int64(i.calls-1), 10), err
}

// Each call of a sequence is about the next workload, which is made outside the clock.
func TestSequence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{serve: 3 * ms}
		end := errors.New("no more")
		next := func(i int) (workload.Workload, error) {
			time.Sleep(50 * ms)
			if i == 5 {
				return nil, end
			}
			return counted{f, i}, nil
		}
		inst := &numbered{fakeInstance: &fakeInstance{f}}
		s, err := measure.Sequence(t.Context(), inst, next, 4, measure.CallOptions{})
		if err != nil || !slices.Equal(s.Times, []time.Duration{3 * ms, 3 * ms, 3 * ms, 3 * ms}) {
			t.Errorf("times %v, error %v", s.Times, err)
		}
		if _, err = measure.Sequence(t.Context(), inst, next, 1, measure.CallOptions{}); !errors.As(err, new(*workload.WrongAnswer)) {
			t.Errorf("the answer to another request: error %v", err)
		}
		inst.calls = 0
		if s, err = measure.Sequence(t.Context(), inst, next, 9, measure.CallOptions{}); !errors.Is(err, end) || len(s.Times) != 5 {
			t.Errorf("%d calls and error %v, want 5 and the one of what makes workloads", len(s.Times), err)
		}
	})
}

// While a sample is taken the harness does not collect its garbage, and
// afterwards it does again.
func TestHarnessCollectorIsQuiet(t *testing.T) {
	percent := func() int { p := debug.SetGCPercent(100); debug.SetGCPercent(p); return p }
	before := percent()
	within := 0
	f := &fake{answer: "pong"}
	_, err := measure.Starts(t.Context(), f, f, 1, measure.StartOptions{Before: func(context.Context) error { within = percent(); return nil }})
	if err != nil || within != -1 || percent() != before {
		t.Errorf("error %v; GC percent %d before, %d within, %d after", err, before, within, percent())
	}
}

func TestDropPageCache(t *testing.T) {
	if err := measure.PageCacheDroppable(); err != nil {
		var u *runtime.Unavailable
		if !errors.As(err, &u) || u.Fix == "" {
			t.Errorf("%v does not say what to do", err)
		}
		t.Skip(err)
	}
	f, err := os.Create(t.TempDir() + "/pages")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const size = 1 << 20
	if _, err := f.Write(make([]byte, size)); err != nil {
		t.Fatal(err)
	}
	resident := func() (pages int) {
		b, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ, unix.MAP_SHARED)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Munmap(b)
		vec := make([]byte, size/os.Getpagesize())
		if err := mincore(b, vec); err != nil {
			t.Fatal(err)
		}
		for _, v := range vec {
			pages += int(v & 1)
		}
		return pages
	}
	var fs unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &fs); err == nil && fs.Type == unix.TMPFS_MAGIC {
		t.Skip("the temporary directory is a tmpfs, which lives in the page cache: set TMPDIR to a disk")
	}
	if resident() == 0 {
		t.Fatal("what was just written is not in the page cache")
	}
	if err := measure.DropPageCache(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := resident(); n != 0 {
		t.Errorf("%d pages are still in the page cache", n)
	}
}
