package runtime

import (
	"context"
	"fmt"
	"time"
)

// A Phase is a part of an instance's life. Not every runtime has every phase,
// and they may come in another order than here.
type Phase uint8

const (
	Load   Phase = iota // the artefact is read: a module compiled or mapped, a root file system mounted
	Create              // the instance exists: process forked, container created, module instantiated
	Start               // its code runs: the host program's main, the container's command, _initialize
	Ready               // the guest said that it takes requests
	Served              // the first checked answer has come
	Stop                // it has ended and everything it held is given back
	phases
)

var phaseNames = [phases]string{"load", "create", "start", "ready", "served", "stop"}

func (p Phase) String() string {
	if p < phases {
		return phaseNames[p]
	}
	return fmt.Sprintf("Phase(%d)", uint8(p))
}

// Phases returns all phases in the order in which they are reported.
func Phases() []Phase { return []Phase{Load, Create, Start, Ready, Served, Stop} }

// A Timeline holds how long each phase of one start took.
type Timeline struct {
	// Durations of the phases, indexed by Phase. A phase that was never marked
	// is 0. What passes between two marks belongs to the later one.
	Durations [phases]time.Duration

	last time.Time
}

// NewTimeline returns a timeline whose clock starts at begin.
func NewTimeline(begin time.Time) *Timeline { return &Timeline{last: begin} }

// Mark ends the phase p at the time at. A mark before an earlier one counts as
// no time at all, so that the durations always add up to what has passed.
func (t *Timeline) Mark(p Phase, at time.Time) {
	if at.Before(t.last) {
		return
	}
	t.Durations[p] += at.Sub(t.last)
	t.last = at
}

// FirstAnswer is the time from the begin to the first checked answer: the sum
// of every phase but Stop.
func (t *Timeline) FirstAnswer() time.Duration {
	var sum time.Duration
	for p, d := range t.Durations {
		if Phase(p) != Stop {
			sum += d
		}
	}
	return sum
}

// TimeStart makes one start to the first checked answer, closes the instance
// and returns the whole timeline. What passes between the answer and the close
// belongs to no phase.
func TimeStart(ctx context.Context, img Image, request []byte, check func([]byte) error) (*Timeline, error) {
	inst, t, err := FirstAnswer(ctx, img, request, check)
	if err != nil {
		return nil, err
	}
	t.last = time.Now()
	err = inst.Close()
	t.Mark(Stop, time.Now())
	if err != nil {
		return nil, fmt.Errorf("closing the instance: %w", err)
	}
	return t, nil
}

// FirstAnswer starts an instance and calls it once. The clock runs from just
// before Start until check has accepted the answer; the same lines time every
// runtime. On error there is no instance left and no timeline.
func FirstAnswer(ctx context.Context, img Image, request []byte, check func([]byte) error) (Instance, *Timeline, error) {
	t := NewTimeline(time.Now())
	inst, err := img.Start(ctx, t.Mark)
	if err != nil {
		return nil, nil, err
	}
	answer, err := inst.Call(ctx, request)
	if err == nil {
		err = check(answer)
	}
	t.Mark(Served, time.Now())
	if err != nil {
		if cerr := inst.Close(); cerr != nil {
			err = fmt.Errorf("%w (and closing: %v)", err, cerr)
		}
		return nil, nil, err
	}
	return inst, t, nil
}
