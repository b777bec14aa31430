package workload_test

import (
	"errors"
	"io/fs"
	"testing"

	"github.com/seed-0132abb7/wasmbench/workload"
)

func TestPrebuilt(t *testing.T) {
	p := workload.Prebuilt{
		Label: "mine",
		Files: map[workload.Form]string{workload.Executable: "prebuilt_test.go", workload.Command: "no/such.wasm"},
		Ask:   []byte("question"), Want: []byte("answer"),
	}
	if path, err := p.Artifact(t.Context(), workload.Executable); err != nil || path != "prebuilt_test.go" {
		t.Errorf("the file that is there: %q, %v", path, err)
	}
	if _, err := p.Artifact(t.Context(), workload.Command); !errors.As(err, new(*workload.Unavailable)) || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file that is missing: %v", err)
	}
	if _, err := p.Artifact(t.Context(), workload.RootFS); !errors.As(err, new(*workload.Unavailable)) {
		t.Errorf("the form that is not given: %v", err)
	}
	var m workload.Mounted = p
	if p.Dir = "/there"; m.Mount() != "" || p.Mount() != "/there" {
		t.Errorf("its directory is %q, and once given %q", m.Mount(), p.Mount())
	}
	if p.Check([]byte("answer")) != nil || !errors.As(p.Check([]byte("anser")), new(*workload.WrongAnswer)) {
		t.Error("Check takes what it should not, or refuses the answer")
	}
}
