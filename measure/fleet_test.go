package measure_test

import (
	"errors"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/seed-0132abb7/wasmbench/measure"
	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/workload"
)

func TestFleet(t *testing.T) {
	img := &listening{handle: pong}
	f := measure.NewFleet(img, &fake{}, time.Minute)
	for _, n := range []int{3, 3, 1, 2, 0, 2} {
		before := f.Services()
		if err := f.Resize(t.Context(), n); err != nil {
			t.Fatal(err)
		}
		after := f.Services()
		if f.Len() != n || len(after) != n || img.served-img.closed != n {
			t.Errorf("of %d services %d are there, %d were started and %d closed", n, f.Len(), img.served, img.closed)
		}
		for i := range min(len(before), n) {
			if before[i] != after[i] {
				t.Errorf("with %d services number %d is another one", n, i)
			}
		}
		addresses := map[string]bool{}
		for _, svc := range after {
			addresses[svc.Address()] = true
		}
		if len(addresses) != n {
			t.Errorf("%d services at %v", n, addresses)
		}
	}
	for range 2 {
		if err := f.Close(); err != nil || f.Len() != 0 || img.closed != img.served {
			t.Errorf("%d of %d closed, %d left, error %v", img.closed, img.served, f.Len(), err)
		}
	}
	if err := f.Resize(t.Context(), -1); err == nil {
		t.Error("there are fewer services than none")
	}
}

func TestFleetFails(t *testing.T) {
	wrong := func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("pang")) }
	tests := []struct {
		name  string
		img   *listening
		limit time.Duration
		is    func(error) bool
		says  string
	}{
		{"ends", &listening{dies: true}, time.Minute, func(err error) bool { return errors.Is(err, measure.ErrServiceEnded) }, "before it answered"},
		{"wrong answer", &listening{handle: wrong}, time.Minute, func(err error) bool { return errors.As(err, new(*workload.WrongAnswer)) }, "service 1 of 2"},
		{"never answers", &listening{}, 100 * time.Millisecond, func(err error) bool { return errors.As(err, new(*measure.LimitError)) }, "100ms"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := measure.NewFleet(tt.img, &fake{}, tt.limit)
			err := f.Resize(t.Context(), 2)
			if err == nil || !tt.is(err) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("error %v", err)
			}
			if f.Len() != 0 || tt.img.closed != tt.img.served {
				t.Errorf("%d left, %d of %d closed", f.Len(), tt.img.closed, tt.img.served)
			}
		})
	}
}

// here is an image whose services are in the tests' own process.
func here() *listening {
	return &listening{handle: pong, scope: runtime.Scope{Own: []int{os.Getpid()}}}
}

func fleetHere(t *testing.T) *measure.Fleet {
	f := measure.NewFleet(here(), &fake{}, time.Minute)
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}
