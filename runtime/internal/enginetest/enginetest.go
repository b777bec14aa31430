// Package enginetest has the tests that every engine passes which gives its
// guests a directory or a database of the host and ends calls that do not return, and a guest
// for them.
package enginetest

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/enginehost"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// A Subject is an engine under test.
type Subject struct {
	// New returns the engine with a directory, or "", and guards or none.
	New func(t testing.TB, dir string, interruptible bool) enginehost.Engine
	// NewStored returns it with a database, for Store.
	NewStored func(t testing.TB, store enginehost.Store, interruptible bool) enginehost.Engine
	// Languages are those whose guests are to find their files.
	Languages []workload.Language
	// Interpreter is set where the engine has no use for what it compiles.
	Interpreter bool
	// Rounds are as many of the guest's loop as take the engine a tenth of a
	// second or more.
	Rounds int

	dir   string                       // of what is built
	built map[string]enginehost.Source // by language, form and guards
}

// source builds the guest and compiles it, once for all tests.
func (s *Subject) source(t testing.TB, e enginehost.Engine, l workload.Language, f workload.Form, interruptible bool) enginehost.Source {
	t.Helper()
	name := fmt.Sprintf("%s-%s-%t", l, f, interruptible)
	if src, ok := s.built[name]; ok {
		return src
	}
	src := enginehost.Source{Module: filepath.Join(s.dir, name+".wasm")}
	build(t, l, f, src.Module)
	if !s.Interpreter {
		src.Artifact = filepath.Join(s.dir, name)
		if err := e.Compile(t.Context(), src.Module, src.Artifact); err != nil {
			t.Fatal(err)
		}
	}
	s.built[name] = src
	return src
}

// image opens the guest of a language as a reactor, closed with the test.
func (s *Subject) image(t testing.TB, l workload.Language, dir string, interruptible bool) runtime.Image {
	t.Helper()
	e := s.New(t, dir, interruptible)
	img, err := e.Image(s.source(t, e, l, workload.Reactor, interruptible))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := img.Close(); err != nil {
			t.Error(err)
		}
	})
	return img
}

// start starts an instance, closed with the test.
func start(t testing.TB, img runtime.Image) runtime.Instance {
	t.Helper()
	inst, err := img.Start(t.Context(), unmarked)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := inst.Close(); err != nil {
			t.Error(err)
		}
	})
	return inst
}

// begin makes the subject ready for the tests of t.
func (s *Subject) begin(t testing.TB) {
	s.dir, s.built = t.TempDir(), map[string]enginehost.Source{}
}

func unmarked(runtime.Phase, time.Time) {}
