//go:build cgo && wasmedge

package engine_test

import (
	"testing"

	"github.com/seed-0132abb7/wasmbench/runtime/internal/enginehost"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/enginetest"
	"github.com/seed-0132abb7/wasmbench/runtime/wasmedge/internal/engine"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// subjects are the two ways of execution. A Go guest takes the compiler a
// minute, so it is interpreted only.
func subjects() map[string]enginetest.Subject {
	subject := func(interpreter bool, rounds int, languages ...workload.Language) enginetest.Subject {
		return enginetest.Subject{
			New: func(t testing.TB, dir string, interruptible bool) enginehost.Engine {
				return create(t, engine.Options{Interpreter: interpreter, Interruptible: interruptible, Dir: dir})
			},
			NewStored: func(t testing.TB, store enginehost.Store, interruptible bool) enginehost.Engine {
				return create(t, engine.Options{Interpreter: interpreter, Interruptible: interruptible, Store: store})
			},
			Languages:   languages,
			Interpreter: interpreter,
			Rounds:      rounds,
		}
	}
	return map[string]enginetest.Subject{
		"ahead":       subject(false, 100_000_000, workload.C),
		"interpreter": subject(true, 3_000_000, workload.C, workload.Go),
	}
}

func TestFiles(t *testing.T) {
	for name, s := range subjects() {
		t.Run(name, func(t *testing.T) { enginetest.Files(t, s) })
	}
}

func TestStore(t *testing.T) {
	for name, s := range subjects() {
		t.Run(name, func(t *testing.T) { enginetest.Store(t, s) })
	}
}

func TestInterrupts(t *testing.T) {
	for name, s := range subjects() {
		t.Run(name, func(t *testing.T) { enginetest.Interrupts(t, s) })
	}
}

func BenchmarkGuards(b *testing.B) {
	for name, s := range subjects() {
		b.Run(name, func(b *testing.B) { enginetest.Guards(b, s) })
	}
}
