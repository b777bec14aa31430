package measure_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/seed-0132abb7/wasmbench/measure"
)

// A resource is what instances of a planted size take.
type resource struct {
	left, first, each int64
	noise             int64 // by which a reading may be off
}

// Growing ends where one more would not fit: nothing is ever taken that is not
// there, not much is left, and the gauge is read seldom.
func TestGaugePredicts(t *testing.T) {
	tests := []struct {
		name  string
		of    resource
		reads int
	}{
		{"one each", resource{left: 30000, first: 1, each: 1}, 60},
		{"three each", resource{left: 65000, first: 300, each: 3}, 60},
		{"large ones", resource{left: 20 << 30, first: 3 << 30, each: 3 << 30}, 10},
		{"a first that brings much", resource{left: 1 << 30, first: 400 << 20, each: 100 << 10}, 60},
		{"a first that brings nothing", resource{left: 1 << 30, first: 0, each: 10 << 20}, 40},
		{"readings that are off", resource{left: 20 << 30, first: 1 << 20, each: 5 << 20, noise: 20 << 20}, 60},
		{"nothing fits", resource{left: 0, first: 5, each: 5}, 1},
		{"one fits", resource{left: 5, first: 5, each: 5}, 2},
	}
	for _, tt := range tests {
		for _, floor := range []bool{false, true} {
			t.Run(fmt.Sprint(tt.name, ", a floor: ", floor), func(t *testing.T) {
				r := rand.New(rand.NewPCG(1, 2))
				left, reads := tt.of.left, 0
				const most = 1000
				step := measure.Stepper(measure.NewGauge(floor, most, func() (int64, error) {
					reads++
					seen := left
					if tt.of.noise > 0 {
						seen += r.Int64N(2*tt.of.noise) - tt.of.noise
					}
					if floor {
						return most + seen, nil
					}
					return most - seen, nil
				}))
				held := 0
				var err error
				for {
					var n int
					if n, err = step(held); err != nil {
						break
					}
					for range n {
						if left -= tt.of.each; held == 0 {
							left += tt.of.each - tt.of.first
						}
						held++
					}
					if left < 0 {
						t.Fatalf("%d more than there was are taken by %d, after a step of %d", -left, held, n)
					}
				}
				var reached *measure.LimitReached
				if !errors.As(err, &reached) {
					t.Fatalf("error %v", err)
				}
				if left >= 2*tt.of.each+tt.of.noise && tt.of.each > 0 {
					t.Errorf("%d are left, and another takes %d", left, tt.of.each)
				}
				if reads > tt.reads {
					t.Errorf("%d readings for %d instances", reads, held)
				}
				t.Logf("%d held, %d left, %d readings", held, left, reads)
			})
		}
	}
}

func TestGaugeThatCannotBeRead(t *testing.T) {
	why := errors.New("unreadable")
	step := measure.Stepper(measure.NewGauge(false, 10, func() (int64, error) { return 0, why }))
	if _, err := step(0); !errors.Is(err, why) {
		t.Errorf("error %v", err)
	}
}
