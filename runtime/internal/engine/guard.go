package engine

import (
	"context"
	"encoding/binary"
	"os"
	"slices"
	"time"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/process"
)

// Guarded returns the runtime with code that its host can interrupt, or nil
// where an instance has a process of its own. When the context of a call ends,
// the host is told and has process.Grace to interrupt the guest and say so, or
// is killed, as one without guards is at once. Where NoGuard is set, Probe and
// Prepare of the runtime return it.
func (r *Runtime) Guarded() runtime.Runtime {
	if !r.Embedded {
		return nil
	}
	guarded := *r
	if !r.guarded {
		guarded.guarded, guarded.Flags = true, append(slices.Clone(r.Flags), "-interruptible")
	}
	return &guarded
}

// available returns NoGuard where it is what the runtime comes to.
func (r *Runtime) available() error {
	if r.guarded && r.NoGuard != nil {
		return r.NoGuard
	}
	return nil
}

// watch ends the query of a turn when ctx ends: by cancels, of which
// enginehost.CancelFile tells, or by killing the host where the turn is 0 or the
// host does not answer soon after. The function that it returns is called when
// the host has answered or never will, and tells whether ctx had ended and
// whether the host was killed.
func watch(ctx context.Context, host *process.Process, cancels *os.File, turn uint64) (release func() (ended, killed bool)) {
	if ctx.Done() == nil {
		return func() (bool, bool) { return false, false }
	}
	if turn == 0 {
		stop := context.AfterFunc(ctx, host.Kill)
		return func() (bool, bool) {
			ended := !stop()
			return ended, ended
		}
	}
	answered, finished := make(chan struct{}), make(chan struct{})
	var killed bool
	stop := context.AfterFunc(ctx, func() {
		defer close(finished)
		if !obeyed(cancels, turn, answered) {
			killed = true
			host.Kill()
		}
	})
	return func() (bool, bool) {
		close(answered)
		if stop() {
			return false, false
		}
		<-finished
		return true, killed
	}
}

// obeyed tells a host to end the query of a turn, and whether it answers within
// process.Grace.
func obeyed(cancels *os.File, turn uint64, answered <-chan struct{}) bool {
	patience := time.NewTimer(process.Grace)
	defer patience.Stop()
	// The pipe is full where a host has read none of many turns.
	err := cancels.SetWriteDeadline(time.Now().Add(process.Grace))
	if err == nil {
		err = binary.Write(cancels, binary.LittleEndian, turn)
	}
	if err == nil {
		select {
		case <-answered:
			return true
		case <-patience.C:
		}
	}
	select {
	case <-answered: // at the last moment
		return true
	default:
		return false
	}
}
