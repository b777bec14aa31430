package measure_test

import (
	"context"
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0132abb7/wasmbench/measure"
)

// settle settles a curve: the value at each time since the begin. A reading takes
// as long as told, and has the value of the middle of that time.
func settle(t *testing.T, curve func(time.Duration) int64, takes time.Duration, opts measure.SettleOptions) (s measure.Settled, readings []time.Duration) {
	t.Helper()
	begin := time.Now()
	s, err := measure.Settle(t.Context(), func(context.Context) (int64, error) {
		readings = append(readings, time.Since(begin))
		time.Sleep(takes / 2)
		v := curve(time.Since(begin))
		time.Sleep(takes - takes/2)
		return v, nil
	}, opts)
	if err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); s.Took != took {
		t.Errorf("it says that it took %v, and took %v", s.Took, took)
	}
	return s, readings
}

func TestSettle(t *testing.T) {
	const size = 100 * mib
	constant := func(time.Duration) int64 { return size }
	zero := func(time.Duration) int64 { return 0 }
	approach := func(at time.Duration) int64 { return int64(size * (1 - math.Exp(-at.Seconds()))) }
	oscillation := func(at time.Duration) int64 {
		return int64(size * (1 + 0.025*math.Sin(2*math.Pi*at.Seconds()/1.7)))
	}
	step := func(when time.Duration) func(time.Duration) int64 {
		return func(at time.Duration) int64 {
			if at < when {
				return size
			}
			return size * 3 / 2
		}
	}
	flip := func(at time.Duration) int64 { return size + size/20*(int64(at/(4*time.Second))%2) } // once in 4 s
	below := func(at time.Duration) int64 { return -constant(0) - step(time.Second)(at) }

	for name, test := range map[string]struct {
		curve       func(time.Duration) int64
		takes       time.Duration
		opts        measure.SettleOptions
		ok          bool
		span        float64       // of the readings of the last window
		least, most time.Duration // that it takes
	}{
		"constant":                 {curve: constant, ok: true, least: 2 * time.Second, most: 2*time.Second + 50*ms},
		"zero":                     {curve: zero, ok: true, least: 2 * time.Second, most: 2*time.Second + 50*ms},
		"other window":             {curve: constant, opts: measure.SettleOptions{Window: time.Minute, Timeout: time.Hour}, ok: true, least: time.Minute, most: time.Minute + 50*ms},
		"short window":             {curve: constant, opts: measure.SettleOptions{Window: 10 * ms}, ok: true, least: 100 * ms, most: 100 * ms},
		"approach":                 {curve: approach, span: 0.0095, ok: true, least: 6400 * ms, most: 6600 * ms}, // 1-exp(-4.47) is 99 % of 1-exp(-6.47)
		"approach, coarse":         {curve: approach, span: 0.095, opts: measure.SettleOptions{Range: 0.1}, ok: true, least: 4200 * ms, most: 4400 * ms},
		"oscillation":              {curve: oscillation, span: 0.0488, least: 30 * time.Second, most: 30 * time.Second},
		"oscillation allowed":      {curve: oscillation, span: 0.0488, opts: measure.SettleOptions{Range: 0.05}, ok: true, least: 2 * time.Second, most: 2*time.Second + 50*ms},
		"step before the end":      {curve: step(1990 * ms), ok: true, least: 3900 * ms, most: 4050 * ms},
		"step at the begin":        {curve: step(10 * ms), ok: true, least: 2040 * ms, most: 2100 * ms},
		"step below zero":          {curve: below, ok: true, least: 2900 * ms, most: 3100 * ms},
		"time for half a window":   {curve: constant, opts: measure.SettleOptions{Timeout: time.Second}, least: time.Second, most: time.Second},
		"reading takes 100 ms":     {curve: constant, takes: 100 * ms, ok: true, least: 2200 * ms, most: 2600 * ms},
		"reading takes 2 s":        {curve: constant, takes: 2 * time.Second, ok: true, least: 18 * time.Second, most: 18 * time.Second},
		"slow, step in the middle": {curve: step(9500 * ms), takes: 2 * time.Second, ok: true, least: 34 * time.Second, most: 34 * time.Second, opts: measure.SettleOptions{Timeout: time.Minute}},
		"slow, changing":           {curve: flip, span: 0.0476, takes: time.Second, least: 30 * time.Second, most: 32 * time.Second, opts: measure.SettleOptions{Window: 5 * time.Second}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, readings := settle(t, test.curve, test.takes, test.opts)
				if s.OK != test.ok || s.Took < test.least || s.Took > test.most {
					t.Errorf("%+v, want %v after %v to %v", s, test.ok, test.least, test.most)
				}
				if want := test.curve(s.Took - test.takes + test.takes/2); s.Value != want {
					t.Errorf("value %d, the last reading was %d", s.Value, want)
				}
				if math.Abs(s.Range-test.span) > 0.005 {
					t.Errorf("range %v, want %v", s.Range, test.span)
				}
				for i := 1; i < len(readings)-1; i++ { // the last may be made because time is up
					if pause := readings[i] - readings[i-1]; pause < max(50*ms, 4*test.takes) {
						t.Errorf("readings that take %v are %v apart", test.takes, pause)
					}
				}
			})
		})
	}
}

// The context's end is noticed at once, between two readings and in one.
func TestSettleStopsWithContext(t *testing.T) {
	cause := errors.New("enough")
	for name, read := range map[string]func(context.Context) (int64, error){
		"between readings": func(context.Context) (int64, error) { time.Sleep(400 * ms); return 1, nil },
		"in a reading":     func(ctx context.Context) (int64, error) { <-ctx.Done(); return 0, context.Cause(ctx) },
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			begin := time.Now()
			time.AfterFunc(time.Second, func() { cancel(cause) })
			s, err := measure.Settle(ctx, read, measure.SettleOptions{})
			if took := time.Since(begin); !errors.Is(err, cause) || took != time.Second || s != (measure.Settled{}) {
				t.Errorf("%s: %+v, %v after %v", name, s, err, took)
			}
			if _, err := measure.Settle(ctx, func(context.Context) (int64, error) { t.Error("read after the end"); return 0, nil }, measure.SettleOptions{}); !errors.Is(err, cause) {
				t.Errorf("%s: begun after the end: %v", name, err)
			}
		})
	}
}

func TestSettleOfFailingRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken, n := errors.New("broken"), 0
		s, err := measure.Settle(t.Context(), func(context.Context) (int64, error) {
			if n++; n > 3 {
				return 7, broken
			}
			return 1, nil
		}, measure.SettleOptions{})
		if !errors.Is(err, broken) || n != 4 || s != (measure.Settled{}) {
			t.Errorf("%+v, error %v after %d readings", s, err, n)
		}
	})
}
