package wasmbench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-0132abb7/wasmbench/internal/scratch"
	"github.com/seed-0132abb7/wasmbench/measure"
	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/oci"
	"github.com/seed-0132abb7/wasmbench/workload"
)

const (
	sequential = 1 << 20 // bytes of a block
	random     = 4 << 10
)

// scratchDir returns the directory for the files that guests work on.
func scratchDir() (string, error) {
	if suite.scratch == nil {
		d, err := scratch.New(*flagFileDir)
		if err != nil {
			return "", fmt.Errorf("-file.dir=%s: %w", *flagFileDir, err)
		}
		suite.scratch = d
		on, err := oci.FileSystem(d.Path())
		if err != nil {
			on = "a file system that cannot be told: " + oneLine(err.Error())
		}
		if on == "tmpfs" {
			on += ", which nothing is ever synced to and read from: -file.dir names a directory on a disk"
		}
		once("# files of guests: on %s\n", on)
	}
	return suite.scratch.Path(), nil
}

// A fileOp is an operation of BenchmarkFileIO.
type fileOp struct {
	name   string
	cold   bool // also with nothing of the file in the page cache
	writes bool
	fresh  bool // the file is gone before
	of     func(f *workload.File, i int) (*workload.FileOp, error)
}

// fileOps begin with the one that makes the file.
var fileOps = []fileOp{
	{"seqwrite", false, true, true, func(f *workload.File, i int) (*workload.FileOp, error) { return f.Write(uint32(i)) }},
	{"seqread", true, false, false, func(f *workload.File, _ int) (*workload.FileOp, error) { return f.Read() }},
	{"randread", true, false, false, func(f *workload.File, i int) (*workload.FileOp, error) {
		return f.RandomRead(uint32(i), *flagFileOps, random)
	}},
	{"randwrite", false, true, false, func(f *workload.File, i int) (*workload.FileOp, error) {
		return f.RandomWrite(uint32(i), *flagFileOps, random)
	}},
}

// BenchmarkFileIO is the article's file I/O: a file of -file.size is written in
// blocks of 1 MiB and synced, or read so, or -file.ops blocks of 4 KiB are read or written
// at random places of it, the written ones synced at the end. One operation is a pass
// over the file, or one of the 4 KiB; the count in a line is that of passes. A file
// that is written is gone before, outside the clock. The guest checks two words of
// each page that it reads, and after what it has written every byte is compared.
//
// With fs=host the file is in a directory of the host: as it is for a native
// guest, through WASI for a module, bind mounted for a container. With fs=overlay
// it is in the container's own root file system, which lies where the manager has
// it. cache=cold has the host's page cache dropped before each pass. The times of
// single operations (p50-ns, p99-ns) are the guest's, by the monotonic clock right
// before and after each, without the sync at the end; clock-ns is what two readings
// take there, about half of which is in each.
func BenchmarkFileIO(b *testing.B) {
	dir, err := scratchDir()
	if err != nil {
		b.Fatal(err)
	}
	file := func(l workload.Language, dir string) (*workload.File, error) {
		f, err := workload.NewFile(l, "data", *flagFileSize<<20, sequential)
		if err != nil {
			return nil, fmt.Errorf("-file.size=%d: %w", *flagFileSize, err)
		}
		return fileOnBase(f.WithMount(dir), l), nil
	}
	of := func(dir string) func(l workload.Language) (workload.Workload, error) {
		return func(l workload.Language) (workload.Workload, error) {
			f, err := file(l, dir)
			if err != nil {
				return nil, err
			}
			return f.Clock(1)
		}
	}
	t := table{workload: "fileio", guest: of(dir), guests: []workload.Language{workload.C},
		runtimes: []string{"native", "wazero", "wasmtime", "containerd", "containerd-wasmtime"}}
	eachImage(b, t, func(b *testing.B, c cell[runtime.Image]) {
		b.Run("fs=host", func(b *testing.B) {
			f, err := file(c.language, dir)
			if err != nil {
				b.Fatal(err)
			}
			benchmarkFiles(b, c.image, f)
		})
		if !contains(c.Name()) {
			return
		}
		b.Run("fs=overlay", func(b *testing.B) {
			f, err := file(c.language, "")
			if err != nil {
				b.Fatal(err)
			}
			w, err := of("")(c.language)
			if err != nil {
				b.Fatal(err)
			}
			img, err := c.Prepare(b.Context(), w)
			if err != nil {
				absent(b, c.language, c.Name(), err)
			}
			defer closeInstance(b, img)
			inst := start(b, img)
			on, err := fileSystemOf(inst)
			if err == nil && on != "overlay" {
				err = fmt.Errorf("the root file system of a container is on %s", on)
			}
			closeInstance(b, inst)
			if err != nil {
				once("# left out %s: %s\n", b.Name(), oneLine(err.Error()))
				b.Skip(err)
			}
			benchmarkFiles(b, img, f)
		})
	})
}

// fileOnBase is onBase for a file.
func fileOnBase(f *workload.File, l workload.Language) *workload.File {
	if on, ok := bases[l]; ok {
		return f.WithBase(on.dir, on.origin)
	}
	return f
}

// workingDirectory returns where a guest that is a process of the host works, as
// the kernel shows it outside its mount namespace.
func workingDirectory(inst runtime.Instance) (string, error) {
	scope := inst.Scope()
	for _, pid := range scope.Own {
		if pid != scope.Shim {
			return filepath.Join("/proc", strconv.Itoa(pid), "cwd"), nil
		}
	}
	return "", errors.New("the instance names no process of its guest")
}

// fileSystemOf returns the type of the file system that a guest works on.
func fileSystemOf(inst runtime.Instance) (string, error) {
	dir, err := workingDirectory(inst)
	if err != nil {
		return "", err
	}
	var stat unix.Statfs_t
	if err := unix.Statfs(dir, &stat); err != nil {
		return "", &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	if stat.Type == unix.OVERLAYFS_SUPER_MAGIC {
		return "overlay", nil
	}
	return fmt.Sprintf("a file system of type %#x", stat.Type), nil
}

// benchmarkFiles measures every operation on the file f of an instance of img.
func benchmarkFiles(b *testing.B, img runtime.Image, f *workload.File) {
	inst := start(b, img)
	defer closeInstance(b, inst)
	j := &fileJob{instance: inst, file: f}
	defer j.removed(b)
	for _, op := range fileOps {
		b.Run("op="+op.name, func(b *testing.B) {
			if !op.cold {
				j.measure(b, op, nil)
				return
			}
			b.Run("cache=warm", func(b *testing.B) { j.measure(b, op, nil) })
			if measure.PageCacheDroppable() == nil {
				b.Run("cache=cold", func(b *testing.B) { j.measure(b, op, measure.DropPageCache) })
			}
		})
	}
}

// A fileJob is a file that an instance works on.
type fileJob struct {
	instance   runtime.Instance
	file       *workload.File
	written    bool
	generation int
	dead       bool // the instance has failed, and can only be closed
}

// next returns what makes the passes of an operation.
func (j *fileJob) next(op fileOp) func(int) (measure.Transfer, error) {
	return func(int) (measure.Transfer, error) {
		j.generation++
		return op.of(j.file, j.generation)
	}
}

// pass makes n passes of an operation, each after before.
func (j *fileJob) pass(ctx context.Context, n int, op fileOp, before func(context.Context) error) (measure.TransferSample, error) {
	if op.fresh {
		before = j.remove
	}
	return measure.Transfers(ctx, j.instance, j.next(op), n, measure.TransferOptions{Before: before, Budget: *flagBudget, Limit: *flagOpLimit})
}

// measure makes b.N passes of an operation, after one that does not count, and
// compares what the file is then.
func (j *fileJob) measure(b *testing.B, op fileOp, before func(context.Context) error) {
	if j.dead {
		b.Skip("the instance has failed before")
	}
	defer func() { j.dead = b.Failed() }()
	if !j.written {
		if _, err := j.pass(b.Context(), 1, fileOps[0], nil); err != nil {
			b.Fatal(err)
		}
		j.written = true
	}
	if _, err := j.pass(b.Context(), 1, op, nil); err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	s, err := j.pass(b.Context(), b.N, op, before)
	if err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	if op.writes {
		if err := j.verify(); err != nil {
			b.Fatal(err)
		}
	}
	metrics := s.Metrics(op.writes)
	if s.Operations > 0 {
		clock, err := j.clock(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		metrics = append(metrics, clock)
	}
	report(b, len(s.Times), metrics)
}

// clock measures what reading the clock twice takes the guest.
func (j *fileJob) clock(ctx context.Context) (m measure.Metric, err error) {
	const pairs = 10_000
	w, err := j.file.Clock(pairs)
	if err != nil {
		return m, err
	}
	calls, err := measure.Calls(ctx, j.instance, w, 3, callOptions())
	if err != nil {
		return m, err
	}
	return measure.Metric{Value: float64(slices.Min(calls.Times)) / pairs, Unit: "clock-ns"}, nil
}

// verify compares the whole file with what it should be, through the mount
// namespace of the guest where it is not on the host. What a guest has put in its
// place is not followed or waited for.
func (j *fileJob) verify() (err error) {
	dir := j.file.Mount()
	if dir == "" {
		if dir, err = workingDirectory(j.instance); err != nil {
			return err
		}
	}
	f, err := os.OpenFile(filepath.Join(dir, j.file.Name()), os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return errors.Join(fmt.Errorf("%s is no regular file", f.Name()), err)
	}
	return j.file.Verify(f)
}

// remove has the guest remove the file.
func (j *fileJob) remove(ctx context.Context) error {
	w, err := j.file.Remove()
	if err == nil {
		_, err = measure.Calls(ctx, j.instance, w, 1, callOptions())
	}
	return err
}

// removed leaves no file behind.
func (j *fileJob) removed(b *testing.B) {
	if !j.written || j.dead {
		return // what is left goes with the directory, or with the container
	}
	if err := j.remove(context.WithoutCancel(b.Context())); err != nil {
		b.Error(err)
	}
}
