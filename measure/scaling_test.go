package measure_test

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/seed-0132abb7/wasmbench/measure"
	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/native"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// scaledGuest prepares processes whose memory is known: each holds 16 MiB of
// numbers.
func scaledGuest(t *testing.T) (runtime.Image, workload.Workload) {
	t.Helper()
	w := workload.DataProcessor(workload.Go)
	img, err := native.New().Prepare(t.Context(), w)
	if errors.As(err, new(*runtime.Unavailable)) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { img.Close() })
	return img, w
}

func newScaling(t *testing.T, limits measure.Limits) (*measure.Scaling, *measure.Population) {
	t.Helper()
	img, w := scaledGuest(t)
	p := measure.NewPopulation(img, w, measure.PopulationOptions{Limits: limits})
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	s, err := measure.NewScaling(t.Context(), p, measure.SettleOptions{Window: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	return s, p
}

func TestScaling(t *testing.T) {
	s, _ := newScaling(t, measure.Limits{})
	for i, n := range []int{2, 5, 8} {
		h, err := s.Measure(t.Context(), n)
		if err != nil {
			t.Fatal(err)
		}
		if h.Instances != n || h.Started != []int{2, 3, 3}[i] || h.Grew <= 0 {
			t.Errorf("%d instances, %d of them started in %v, want %d", h.Instances, h.Started, h.Grew, n)
		}
		if least := int64(n) * 16 << 20; h.Usage.Own.PSS < least || h.Total() < h.Usage.Own.PSS {
			t.Errorf("%d instances take %d bytes and %d in all, want %d at least", n, h.Usage.Own.PSS, h.Total(), least)
		}
		if _, err := s.Fit(); (err == nil) != (i == 2) {
			t.Errorf("a line through %d points: %v", i+1, err)
		}
	}
	line, err := s.Fit()
	if err != nil {
		t.Fatal(err)
	}
	// The kernel's part is the whole host's and may be off by a megabyte or two.
	if line.Slope < 16<<20 || line.Slope > 24<<20 {
		t.Errorf("another instance takes %.0f bytes, want 16 MiB and a process", line.Slope)
	}
	if line.Points != 3 {
		t.Errorf("the line is through %d points, want 3", line.Points)
	}
	if _, err := s.Measure(t.Context(), 8); err != nil {
		t.Fatal(err)
	}
	if line, err = s.Fit(); err != nil || line.Points != 3 {
		t.Errorf("read again with as many instances there are %d points, want 3: %v", line.Points, err)
	}
}

// What is held when a limit ends the growth is read all the same.
func TestScalingMeetsALimit(t *testing.T) {
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	s, p := newScaling(t, measure.Limits{Files: len(open) + 40})
	h, err := s.Measure(t.Context(), 1000)
	var limit *measure.LimitReached
	if !errors.As(err, &limit) || limit.Limit != "open-files" {
		t.Fatalf("error %v, want the limit open-files", err)
	}
	if h.Instances == 0 || h.Instances != p.Len() || h.Usage.Own.PSS < int64(h.Instances)*16<<20 {
		t.Errorf("%d instances with %d bytes were read, %d are held", h.Instances, h.Usage.Own.PSS, p.Len())
	}
}

func TestScalingOfWhatIsHeldAlready(t *testing.T) {
	_, p := newScaling(t, measure.Limits{})
	if err := p.Grow(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if _, err := measure.NewScaling(t.Context(), p, measure.SettleOptions{}); err == nil {
		t.Error("the host was read as if nothing were held")
	}
}
