package engine

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/process"
)

// processImage starts one host process for each instance, which runs the
// command as the engine's own command line does.
type processImage struct {
	label, host string
	args        []string
	size        int64
}

func (i *processImage) Bytes() int64 { return i.size }
func (i *processImage) Close() error { return nil }

// Start marks Create when the host has been executed, Start when its main was
// reached, Load when it had the module and Ready when the guest said so.
func (i *processImage) Start(ctx context.Context, mark func(runtime.Phase, time.Time)) (runtime.Instance, error) {
	stamps, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer stamps.Close()
	inst, created, ready, err := process.StartWorker(ctx, i.host, i.args, w)
	w.Close()
	if err != nil {
		return nil, fmt.Errorf("runtime %s: %w", i.label, err)
	}
	told(stamps, created, mark)
	mark(runtime.Ready, ready)
	return inst, nil
}

// told marks the phases of which a host tells by its stamps, which it reads. It
// returns why there are none.
func told(stamps io.Reader, created time.Time, mark func(runtime.Phase, time.Time)) error {
	var b [16]byte
	if _, err := io.ReadFull(stamps, b[:]); err != nil {
		mark(runtime.Create, created)
		return err
	}
	begun, loaded := stampTime(b[:8]), stampTime(b[8:])
	if begun.Before(created) { // the harness was told late that the host had been executed
		created = begun
	}
	mark(runtime.Create, created)
	mark(runtime.Start, begun)
	mark(runtime.Load, loaded)
	return nil
}

// stampTime turns a stamp of CLOCK_MONOTONIC into a time of this process.
func stampTime(stamp []byte) time.Time {
	var now unix.Timespec
	unix.ClockGettime(unix.CLOCK_MONOTONIC, &now)
	age := now.Nano() - int64(binary.LittleEndian.Uint64(stamp))
	return time.Now().Add(-time.Duration(age))
}
