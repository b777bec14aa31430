package engine

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-0132abb7/wasmbench/runtime"
)

// A host that does not report, as one whose guest says that it is ready and then
// never lets its host go on, ends with the context or is found to have ended.
func TestNoReport(t *testing.T) {
	for _, tt := range []struct {
		name, then string
		says       string
	}{
		{"waits", "sleep 1000", context.DeadlineExceeded.Error()},
		{"ends", "echo gone >&2", "gone"},
		{"garbage", `printf '\377\377\377\377garbage garbage garbage' >&3; sleep 1000`, "cannot be read"},
	} {
		pidFile := filepath.Join(t.TempDir(), "pid")
		img := &processImage{label: "silent", host: "/bin/sh", args: []string{"-c", "echo $$ > " + pidFile + "; printf 'wb1\\n'; " + tt.then}}
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		inst, err := img.Start(ctx, func(runtime.Phase, time.Time) {})
		if err == nil {
			t.Errorf("%s: it was started", tt.name)
			inst.Close()
			continue
		}
		if !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: error %q does not say %q", tt.name, err, tt.says)
		}
		pid, err := os.ReadFile(pidFile)
		if err != nil {
			t.Fatal(err)
		}
		n, err := strconv.Atoi(strings.TrimSpace(string(pid)))
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(n, 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("%s: process %d lives on", tt.name, n)
		}
	}
}
