package enginehost

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/unix"

	"github.com/seed-0132abb7/wasmbench/runtime"
)

// ReportFile is the descriptor on which the verbs run and serve write a Report.
const ReportFile = 3

// A Report is what the harness is told of a process that it asks nothing
// through a pipe. It is written at once, when there is nothing more to tell and
// before the guest's first answer.
type Report struct {
	// When main was reached and the module was loaded, in nanoseconds of
	// CLOCK_MONOTONIC.
	Begun, Loaded int64
	// Where the one instance of run lies.
	Regions []runtime.Region
}

// maxReport is the longest report, in bytes: a pipe takes as much at once.
const maxReport = 4096

// tell writes the report. A host that is run by hand has nobody to tell.
func (r *Report) tell() { unix.Write(ReportFile, r.encode()) }

// encode returns the report's length in four bytes, the two times and for each
// region its kind, its addresses and its path, the least significant byte
// first.
func (r *Report) encode() []byte {
	b := make([]byte, 4, 256)
	b = binary.LittleEndian.AppendUint64(b, uint64(r.Begun))
	b = binary.LittleEndian.AppendUint64(b, uint64(r.Loaded))
	for _, g := range r.Regions {
		b = append(b, byte(g.Kind))
		b = binary.LittleEndian.AppendUint64(b, uint64(g.Start))
		b = binary.LittleEndian.AppendUint64(b, uint64(g.End))
		b = binary.LittleEndian.AppendUint16(b, uint16(len(g.Path)))
		b = append(b, g.Path...)
	}
	binary.LittleEndian.PutUint32(b, uint32(len(b)-4))
	return b
}

var errReport = errors.New("the engine host's report cannot be read")

// ReadReport reads what tell wrote.
func ReadReport(r io.Reader) (report Report, err error) {
	var head [20]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return report, err
	}
	size := binary.LittleEndian.Uint32(head[:])
	if size < 16 || size > maxReport {
		return report, fmt.Errorf("%w: it has %d bytes", errReport, size)
	}
	report.Begun = int64(binary.LittleEndian.Uint64(head[4:]))
	report.Loaded = int64(binary.LittleEndian.Uint64(head[12:]))
	rest := make([]byte, size-16)
	if _, err := io.ReadFull(r, rest); err != nil {
		return report, err
	}
	for len(rest) > 0 {
		const fixed = 1 + 8 + 8 + 2
		if len(rest) < fixed {
			return report, fmt.Errorf("%w: %d bytes are left over", errReport, len(rest))
		}
		n := int(binary.LittleEndian.Uint16(rest[17:]))
		if len(rest) < fixed+n {
			return report, fmt.Errorf("%w: a path of %d bytes in %d", errReport, n, len(rest)-fixed)
		}
		report.Regions = append(report.Regions, runtime.Region{
			Kind:  runtime.RegionKind(rest[0]),
			Start: uintptr(binary.LittleEndian.Uint64(rest[1:])),
			End:   uintptr(binary.LittleEndian.Uint64(rest[9:])),
			Path:  string(rest[fixed : fixed+n]),
		})
		rest = rest[fixed+n:]
	}
	return report, nil
}

func monotonic() int64 {
	var t unix.Timespec
	unix.ClockGettime(unix.CLOCK_MONOTONIC, &t)
	return t.Nano()
}
