package process_test

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/procfs"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/process"
)

var _ runtime.Service = (*process.Service)(nil)

func serve(t *testing.T, script string, extra ...*os.File) *process.Service {
	t.Helper()
	s, _, err := process.Serve(t.Context(), process.Program{Path: shell(t), Args: []string{"-c", script}, Files: extra}, "127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for range 2 {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
		awaitEmpty(t, s.Pid)
	})
	return s
}

// awaitEmpty waits until no process of a group runs. A dead one may stay for
// want of a parent that reaps it.
func awaitEmpty(t *testing.T, group int) {
	t.Helper()
	fs, err := procfs.NewDefaultFS()
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		all, err := fs.AllProcs()
		if err != nil {
			t.Fatal(err)
		}
		running := slices.ContainsFunc(all, func(p procfs.Proc) bool {
			stat, err := p.Stat()
			return err == nil && stat.PGRP == group && stat.State != "Z"
		})
		if !running {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("of process group %d something is left", group)
		}
	}
}

func TestServiceThatEnds(t *testing.T) {
	tests := []struct {
		name, script string
		says         []string
	}{
		{"exits", "echo going; echo gone >&2; exit 7", []string{"exit status 7", "going\ngone"}},
		{"is killed", "kill -9 $$", []string{"signal: killed"}},
		{"leaves a child", "sleep 600 & echo left it; exit 3", []string{"exit status 3", "left it"}},
		{"says much", "i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); done; exit 1", []string{"line 0\n", "line 1999"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := serve(t, tt.script)
			<-s.Ended()
			why := errors.New("connection refused")
			err := s.Explain(why)
			if !errors.Is(err, why) || !errors.As(err, new(*process.ExitError)) {
				t.Fatalf("error %v", err)
			}
			for _, say := range tt.says {
				if !strings.Contains(err.Error(), say) {
					t.Errorf("error %q does not say %q", err, say)
				}
			}
			if s.Explain(nil) != nil {
				t.Error("no error was explained")
			}
		})
	}
}

// A service that lives is not ended by being explained.
func TestServiceThatLives(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	s := serve(t, "trap '' TERM; echo its log; echo ready >&3; sleep 600 & wait", w)
	w.Close()
	if _, err := io.ReadFull(r, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	err = s.Explain(context.DeadlineExceeded)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "its log") || strings.Contains(err.Error(), "ended") {
		t.Errorf("error %v", err)
	}
	select {
	case <-s.Ended():
		t.Error("it has ended")
	default:
	}
	if s.Address() != "127.0.0.1:1" || len(s.Scope().Own) != 1 || s.Scope().Own[0] != s.Pid {
		t.Errorf("address %s, scope %v", s.Address(), s.Scope())
	}
	s.Close()
	<-s.Ended()
}

func TestServiceOfNoProgram(t *testing.T) {
	if _, _, err := process.Serve(t.Context(), process.Program{Path: "/no/such/program"}, ""); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("error %v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("changed my mind")
	cancel(why)
	if _, _, err := process.Serve(ctx, process.Program{Path: shell(t), Args: []string{"-c", "exit 0"}}, ""); !errors.Is(err, why) {
		t.Errorf("error %v", err)
	}
}
