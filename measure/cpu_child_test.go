package measure_test

import (
	"context"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// spend works until this process has spent so many milliseconds of processor time
// more.
func spend(milliseconds int, work func() error) error {
	end := time.Duration(milliseconds) * time.Millisecond
	for begin, first := time.Duration(0), true; ; first = false {
		var t unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &t); err != nil {
			return err
		}
		now := time.Duration(t.Nano())
		if first {
			begin = now
		}
		if now-begin >= end {
			return nil
		}
		if err := work(); err != nil {
			return err
		}
	}
}

// computed keeps the compiler from leaving compute out.
var computed uint32

func compute() error {
	x := computed
	for range 200_000 {
		x = x*1664525 + 1013904223
	}
	computed = x
	return nil
}

// sendZeros has the kernel write zeros to nowhere.
func sendZeros() error {
	from, err := os.Open("/dev/zero")
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer to.Close()
	for range 16 {
		if _, err := unix.Sendfile(int(to.Fd()), int(from.Fd()), nil, mib); err != nil {
			return err
		}
	}
	return nil
}

// A worker is an instance that is a child, and the workload that tells it what to
// do.
type worker struct {
	*child
	verb string
	n    int
}

func (w worker) Name() string                                            { return w.verb }
func (w worker) Artifact(context.Context, workload.Form) (string, error) { return "", nil }
func (w worker) Request() []byte                                         { return []byte(w.verb + " " + strconv.Itoa(w.n)) }
func (w worker) Check(answer []byte) error {
	if string(answer) != "done" {
		return &workload.WrongAnswer{Workload: w.verb, Got: answer, Want: []byte("done")}
	}
	return nil
}
func (w worker) Scope() runtime.Scope { return runtime.Scope{Own: []int{w.pid}} }
func (w worker) Close() error         { return nil }
func (w worker) Call(_ context.Context, request []byte) ([]byte, error) {
	verb, n, _ := strings.Cut(string(request), " ")
	number, err := strconv.Atoi(n)
	if err != nil {
		return nil, err
	}
	answer, err := w.order(verb, number)
	return []byte(answer), err
}
