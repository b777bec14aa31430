package measure_test

import (
	"context"
	"errors"
	"os"
	"runtime/debug"
	"testing"
	"testing/synctest"

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
