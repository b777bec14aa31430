package process_test

import (
	"io"
	"math"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-0132abb7/wasmbench/runtime/internal/process"
)

// Children that wait for nothing but their end cost the harness no thread each,
// of which Go lets it have 10,000, and four files: three pipes and a handle.
func TestManyChildren(t *testing.T) {
	cat, err := exec.LookPath("cat")
	if err != nil {
		t.Skip("needs the program cat")
	}
	threadsBefore, filesBefore := threads(t), files(t)
	n := min(1000, (openable(t)-filesBefore)/5)
	children := make([]*process.Process, 0, n)
	defer func() {
		for _, p := range children {
			p.Close()
		}
	}()
	for range n {
		p, err := process.Start(process.Program{Path: cat})
		if err != nil {
			t.Fatal(err)
		}
		children = append(children, p)
	}
	for _, p := range children {
		var echo [1]byte
		if _, err := p.In.Write([]byte{1}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(p.Out, echo[:]); err != nil {
			t.Fatal(err)
		}
	}
	if more := threads(t) - threadsBefore; more > n/10+8 {
		t.Errorf("%d children take %d threads", n, more)
	}
	if more := files(t) - filesBefore; more > 4*n+n/10+8 {
		t.Errorf("%d children take %d files", n, more)
	}
}

// openable returns how many files this process may have open.
func openable(t *testing.T) int {
	t.Helper()
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	return int(min(limit.Cur, math.MaxInt32))
}

// threads returns how many threads this process has.
func threads(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "\nThreads:")
	number, _, _ := strings.Cut(rest, "\n")
	n, err := strconv.Atoi(strings.TrimSpace(number))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// files returns how many files this process has open.
func files(t *testing.T) int {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(fds)
}
