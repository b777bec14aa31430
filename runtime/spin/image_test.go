package spin_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/procfs"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/module"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/wasmtest"
	"github.com/seed-0132abb7/wasmbench/runtime/spin"
	"github.com/seed-0132abb7/wasmbench/workload"
)

func TestStartAndCall(t *testing.T) {
	for _, mode := range []string{"normal", "chatty"} {
		t.Run(mode, func(t *testing.T) {
			img := prepare(t, mode, spin.Options{})
			var marks []runtime.Phase
			inst, err := img.Start(t.Context(), func(p runtime.Phase, _ time.Time) { marks = append(marks, p) })
			if err != nil {
				t.Fatal(err)
			}
			if want := []runtime.Phase{runtime.Create, runtime.Start, runtime.Ready}; !slices.Equal(marks, want) {
				t.Errorf("marks %v, want %v", marks, want)
			}
			for _, ask := range []string{"you", "", strings.Repeat("x", 1<<20)} {
				answer, err := inst.Call(t.Context(), []byte(ask))
				if err != nil || string(answer) != "hello "+ask {
					t.Errorf("answer of %d bytes, error %v", len(answer), err)
				}
			}
			own := inst.Scope().Own
			for range 2 {
				if err := inst.Close(); err != nil {
					t.Error(err)
				}
			}
			wantNone(t, own)
			if left, err := filepath.Glob(filepath.Join(os.Getenv("TMPDIR"), "wasmbench-*", "*", "i*")); err != nil || len(left) > 0 {
				t.Errorf("directories of closed instances: %q, %v", left, err)
			}
		})
	}
}

// The scope is spin up and the trigger that it started.
func TestScope(t *testing.T) {
	inst := begin(t, prepare(t, "normal", spin.Options{}))
	own := inst.Scope().Own
	if len(own) != 2 {
		t.Fatalf("scope %v", own)
	}
	p, err := procfs.NewProc(own[1])
	if err != nil {
		t.Fatal(err)
	}
	stat, err := p.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if args, err := p.CmdLine(); stat.PPID != own[0] || err != nil || !slices.Contains(args, "trigger") {
		t.Errorf("process %d of parent %d, want the trigger of %d: %q, %v", own[1], stat.PPID, own[0], args, err)
	}
}

func TestOptions(t *testing.T) {
	t.Setenv("DISABLE_WASMTIME_CACHE", "1")
	t.Setenv("SPIN_HTTP_LISTEN_ADDR", "127.0.0.1:1")
	tests := []struct {
		options spin.Options
		want    string
	}{
		{spin.Options{}, "cache=true pooling=true"},
		{spin.Options{Cache: spin.Filled}, "cache=true pooling=true"},
		{spin.Options{Cache: spin.Off}, "cache=false pooling=true"},
		{spin.Options{OnDemand: true}, "cache=true pooling=false"},
	}
	for _, tt := range tests {
		t.Run(tt.want, func(t *testing.T) {
			img := prepare(t, "normal", tt.options)
			inst := begin(t, img)
			if answer, err := inst.Call(t.Context(), []byte("args")); err != nil || string(answer) != tt.want {
				t.Errorf("the trigger's arguments are %q, error %v, want %q", answer, err, tt.want)
			}
			env, err := inst.Call(t.Context(), []byte("env"))
			if err != nil {
				t.Fatal(err)
			}
			for variable := range bytes.Lines(append(env, '\n')) {
				name, value, _ := strings.Cut(strings.TrimSpace(string(variable)), "=")
				private := strings.HasPrefix(value, os.Getenv("TMPDIR"))
				switch name {
				case "PATH", "SPIN_LOCKED_URL", "GOCOVERDIR":
				default:
					if !private {
						t.Errorf("%s=%s is not private", name, value)
					}
				}
			}
		})
	}
}

func TestBytes(t *testing.T) {
	off, filled := prepare(t, "normal", spin.Options{Cache: spin.Off}).Bytes(), prepare(t, "normal", spin.Options{}).Bytes()
	if off <= 0 || filled <= off {
		t.Errorf("%d bytes without compiled code, %d with", off, filled)
	}
}

func TestPrepareFails(t *testing.T) {
	watch(t)
	reactor := workload.Prebuilt{Files: map[workload.Form]string{workload.CGI: wasmtest.Write(t, wasmtest.Reactor(wasmtest.Echo))}}
	tests := []struct {
		mode string
		w    workload.Workload
		is   error
		says []string
	}{
		{"exits", guest(t), nil, []string{"Failed to load application", "exit status 1"}},
		{"nocache", guest(t), os.ErrNotExist, []string{"did not fill its compilation cache"}},
		{"normal", reactor, module.ErrMissingExport, []string{"_start"}},
		{"normal", workload.Prebuilt{Label: "none"}, nil, []string{"workload none as cgi"}},
	}
	for _, tt := range tests {
		_, err := spin.New(spin.Options{Path: standIn(t, tt.mode)}).Prepare(t.Context(), tt.w)
		if tt.is != nil && !errors.Is(err, tt.is) {
			t.Errorf("mode %s: error %v is not %v", tt.mode, err, tt.is)
		}
		wantSays(t, err, tt.says...)
	}
}

func TestStartFails(t *testing.T) {
	tests := []struct {
		mode string
		says []string
	}{
		{"exits", []string{"ended before it said that it serves", "exit status 1", "Failed to load application"}},
		{"garbage", []string{`"Serving suggestion"`, "no address of HTTP"}},
		{"portless", []string{"does not tell the port", "install a later one"}},
	}
	for _, tt := range tests {
		t.Run(tt.mode, func(t *testing.T) {
			img := prepare(t, tt.mode, spin.Options{Cache: spin.Off})
			_, err := img.Start(t.Context(), ignore)
			wantSays(t, err, tt.says...)
		})
	}
}

func TestStartIsCancelled(t *testing.T) {
	img := prepare(t, "silent", spin.Options{Cache: spin.Off})
	why := errors.New("changed my mind")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 500*time.Millisecond, why)
	defer cancel()
	if _, err := img.Start(ctx, ignore); !errors.Is(err, why) {
		t.Errorf("error %v", err)
	}
	if _, err := img.Start(ctx, ignore); !errors.Is(err, why) {
		t.Errorf("a start with an ended context: error %v", err)
	}
}

func TestCallFails(t *testing.T) {
	tests := []struct {
		request string
		says    []string
	}{
		{"fail", []string{"500 Internal Server Error", "the guest trapped"}},
		{"elsewhere", []string{"302 Found"}},
		{"die", []string{"exit status 1", "out of address space"}},
		{"endless", []string{"more than 67108864 bytes"}},
	}
	img := prepare(t, "normal", spin.Options{})
	for _, tt := range tests {
		t.Run(tt.request, func(t *testing.T) {
			_, err := begin(t, img).Call(t.Context(), []byte(tt.request))
			wantSays(t, err, tt.says...)
		})
	}
}

func TestCallIsCancelled(t *testing.T) {
	inst := begin(t, prepare(t, "normal", spin.Options{}))
	why := errors.New("changed my mind")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 100*time.Millisecond, why)
	defer cancel()
	if _, err := inst.Call(ctx, []byte("mute")); !errors.Is(err, why) {
		t.Errorf("error %v", err)
	}
}

// However spin and its trigger behave, Close leaves neither.
func TestCloseEndsTheGroup(t *testing.T) {
	for _, mode := range []string{"stubborn", "leaks"} {
		t.Run(mode, func(t *testing.T) {
			inst := begin(t, prepare(t, mode, spin.Options{Cache: spin.Off}))
			own := inst.Scope().Own
			if len(own) != 2 {
				t.Fatalf("scope %v", own)
			}
			if err := inst.Close(); err != nil {
				t.Error(err)
			}
			wantNone(t, own)
		})
	}
}
