package gotool

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-0132abb7/wasmbench/workload"
)

// small is a program that is in every module cache in which this module builds.
func small(t *testing.T) Program {
	t.Helper()
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	return Program{Name: "mountinfo", Version: "v0.7.3", Packages: []string{"github.com/moby/sys/mountinfo"}, Takes: "a second"}
}

func TestErrorsNameTheRemedy(t *testing.T) {
	home := t.TempDir()
	if err := os.Mkdir(filepath.Join(home, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	goTool, err := exec.LookPath("go")
	if err != nil {
		t.Skip("go is not on PATH")
	}
	for name, c := range map[string]struct {
		cgo  bool
		env  map[string]string
		want string
	}{
		"no go":          {env: map[string]string{"PATH": filepath.Join(home, "bin")}, want: "put it on PATH"},
		"no C compiler":  {cgo: true, env: map[string]string{"CC": "no-such-compiler"}, want: "install gcc"},
		"no network":     {env: map[string]string{"GOPROXY": "off", "GOMODCACHE": filepath.Join(home, "mod")}, want: "connect to the network"},
		"not a command":  {want: "make this command succeed"},
		"closed network": {env: map[string]string{"GOPROXY": "http://127.0.0.1:1", "GOMODCACHE": filepath.Join(home, "mod")}, want: "GOPROXY"},
	} {
		t.Run(name, func(t *testing.T) {
			p := small(t)
			p.CGO = c.cgo
			t.Setenv("PATH", filepath.Dir(goTool)+":"+os.Getenv("PATH"))
			for k, v := range c.env {
				t.Setenv(k, v)
			}
			_, err := p.Build(t.Context())
			var u *workload.Unavailable
			if !errors.As(err, &u) || u.Err == nil || !strings.Contains(u.Fix, c.want) {
				t.Errorf("error %v, want an *Unavailable with a cause and a remedy that says %q", err, c.want)
			}
		})
	}
}

func TestTailKeepsWholeLines(t *testing.T) {
	long := strings.Repeat("a line\n", 1000) + "the end"
	got := tail([]byte(long))
	if len(got) > 1<<10 || !strings.HasPrefix(got, "a line\n") || !strings.HasSuffix(got, "the end") {
		t.Errorf("tail = %q", got)
	}
}
