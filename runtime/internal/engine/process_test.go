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
	"github.com/seed-0132abb7/wasmbench/runtime/internal/process"
)

// A host that does not report, as one whose guest says that it is ready and then
// never lets its host go on, ends with the context or is found to have ended.
func TestNoReport(t *testing.T) {
	for _, tt := range []struct {
		name, then string
		says       string
	}{
		{"waits", "sleep 1000", context.Canceled.Error()},
		{"ends", "echo gone >&2", "gone"},
		{"garbage", `printf '\377\377\377\377garbage garbage garbage' >&3; sleep 1000`, "cannot be read"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			pidFile := filepath.Join(t.TempDir(), "pid")
			img := &processImage{shipped: shipped{label: "silent"}, program: process.Program{Path: "/bin/sh", Args: []string{"-c", "printf 'wb1\\n'; echo $$ > " + pidFile + "; " + tt.then}}}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			pid := make(chan int, 1)
			go func() {
				pid <- awaitNumber(pidFile)
				if tt.name == "waits" {
					cancel()
				}
			}()
			inst, err := img.Start(ctx, func(runtime.Phase, time.Time) {})
			if err == nil {
				inst.Close()
				t.Fatal("it was started")
			}
			if !strings.Contains(err.Error(), tt.says) {
				t.Fatalf("error %q does not say %q", err, tt.says)
			}
			if n := <-pid; !errors.Is(syscall.Kill(n, 0), syscall.ESRCH) {
				t.Errorf("process %d lives on", n)
			}
		})
	}
}

// awaitNumber returns the number in the first line of a file when that is there.
func awaitNumber(path string) int {
	for ; ; time.Sleep(time.Millisecond) {
		b, _ := os.ReadFile(path)
		if line, _, whole := strings.Cut(string(b), "\n"); whole {
			n, _ := strconv.Atoi(line)
			return n
		}
	}
}
