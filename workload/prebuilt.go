package workload

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
)

// Prebuilt is a workload whose guest lies on disk already: one's own.
type Prebuilt struct {
	Label string          // its name
	Files map[Form]string // where the guest is, in the forms that there are
	Ask   []byte          // the request
	Want  []byte          // the right answer
	Dir   string          // where it has files, as Mounted tells, or ""
}

// Name returns Label.
func (p Prebuilt) Name() string { return p.Label }

// Request returns Ask.
func (p Prebuilt) Request() []byte { return p.Ask }

// Mount returns Dir.
func (p Prebuilt) Mount() string { return p.Dir }

// Check compares answer with Want.
func (p Prebuilt) Check(answer []byte) error {
	if !bytes.Equal(answer, p.Want) {
		return &WrongAnswer{Workload: p.Label, Got: bytes.Clone(answer), Want: p.Want}
	}
	return nil
}

// Artifact returns the path of the guest in the form f, or an *Unavailable
// where there is none or nothing is there.
func (p Prebuilt) Artifact(_ context.Context, f Form) (string, error) {
	path, ok := p.Files[f]
	if !ok {
		return "", &Unavailable{
			What: fmt.Sprintf("workload %s as %s", p.Label, f),
			Why:  fmt.Sprintf("it is given as %v", slices.Sorted(maps.Keys(p.Files))),
			Fix:  fmt.Sprintf("name its file in Files[%q]", f),
		}
	}
	if _, err := os.Stat(path); err != nil {
		return "", &Unavailable{What: fmt.Sprintf("workload %s as %s", p.Label, f), Why: "its file cannot be read", Fix: "build it, or correct its path", Err: err}
	}
	return path, nil
}
