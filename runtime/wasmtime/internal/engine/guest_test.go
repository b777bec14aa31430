//go:build cgo

package engine

import (
	"testing"

	"github.com/seed-0132abb7/wasmbench/runtime/internal/enginehost"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/enginetest"
	"github.com/seed-0132abb7/wasmbench/workload"
)

func subject(api API, languages ...workload.Language) enginetest.Subject {
	return enginetest.Subject{
		New: func(t testing.TB, dir string, interruptible bool) enginehost.Engine {
			return open(t, Options{API: api, Interruptible: interruptible, Dir: dir})
		},
		NewStored: func(t testing.TB, store enginehost.Store, interruptible bool) enginehost.Engine {
			return open(t, Options{API: api, Interruptible: interruptible && api != Go, Store: store})
		},
		Languages: languages,
		Rounds:    100_000_000,
	}
}

func TestFiles(t *testing.T) {
	for api, languages := range map[API][]workload.Language{
		Pooled: {workload.C, workload.Go},
		Go:     {workload.C}, // the same functions of WASI
	} {
		t.Run("api="+api.String(), func(t *testing.T) { enginetest.Files(t, subject(api, languages...)) })
	}
}

func TestStore(t *testing.T) {
	apis(t, func(t *testing.T, api API) { enginetest.Store(t, subject(api)) })
}

func TestInterrupts(t *testing.T) { enginetest.Interrupts(t, subject(Pooled)) }

func BenchmarkGuards(b *testing.B) { enginetest.Guards(b, subject(Pooled)) }
