package measure

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/prometheus/procfs"

	"github.com/seed-0132abb7/wasmbench/runtime"
)

// A Component is a part of what an instance has in memory.
type Component struct {
	Name  string
	Bytes int64 // of PSS
}

// ProfileOptions say what the own processes are, which their memory does not. The
// zero value is a guest that was compiled to an executable.
type ProfileOptions struct {
	Engine  bool             // an engine that runs the guest
	Regions []runtime.Region // where in the first of them the engine says that the instance lies; none where it does not tell

	Interpreted bool  // the executable is a language's interpreter rather than the guest
	V8Heap      int64 // bytes that Node.js says its heap has (process.memoryUsage().heapTotal); 0 unless it is Node.js
}

// Profile tells of which components the memory of a scope consists, in bytes of
// PSS. They add up to the PSS of the own and the shared processes, each counted
// once, and come in the order of this list; what is swapped out is in none. One that
// the scope cannot have is left out, one of which nothing is resident is 0.
//
// Unless Engine is set, the own processes are a guest:
//
//	app-text  its executable's file, code and data, unless Interpreted
//	app-heap  [heap], what malloc takes from the kernel in small portions
//	app-jit   memory that is executable and of no file
//	app-anon  all other memory that is of no file: Go's heap, large blocks of malloc, data that starts as zeroes, stacks
//	v8-heap   V8's heap, which is not in app-anon then, if V8Heap is given; but its code is in app-jit
//	language  the files of the interpreter and of its own libraries and modules, if Interpreted
//	libs      all other files, such as the C library and the dynamic linker, and what the kernel maps beside them
//
// V8 does not tell the kernel which memory is its heap, and takes more of it than
// becomes resident. Its pages are recognised by their addresses. If their size is
// not about V8Heap, that has failed, and v8-heap is left out.
//
// Else they are an engine; other instances than that of Regions count to it if they
// are in the same process:
//
//	linear  the linear memory; left out without Regions, for then it is in engine
//	code    what the module was compiled to, and all executable memory that is of no file; without Regions only the latter
//	stack   the stacks of the process's threads that the kernel or the C library has made
//	engine  everything else: the engine and its host, their data, heap and libraries, and what an interpreter makes of a module
//
// Stacks that lie in Go's heap cannot be told from it: those of goroutines, those of
// threads in a host without C, and the one that wazero gives a module. So it is with
// the stack of a thread that runs while it is looked at, unless it is the first, and
// with all but the first where the kernel does not let them be looked up: in Yama's
// stricter modes, and without CONFIG_HAVE_ARCH_TRACEHOOK. They count to engine.
//
// For both:
//
//	shim    the scope's shim
//	daemon  the shared processes
//
// A process that has ended is an error that names it and wraps os.ErrNotExist or
// unix.ESRCH. What the kernel refuses to tell is an *runtime.Unavailable. Regions
// without Engine, and what is a guest's with it, are an error.
func Profile(ctx context.Context, scope runtime.Scope, opts ProfileOptions) ([]Component, error) {
	switch {
	case !opts.Engine && len(opts.Regions) > 0:
		return nil, errors.New("profiling memory: there are Regions, but Engine is not set")
	case opts.Engine && (opts.Interpreted || opts.V8Heap != 0):
		return nil, errors.New("profiling memory: Interpreted and V8Heap tell of a guest, but Engine is set")
	}
	proc, err := procfs.NewDefaultFS()
	if err != nil {
		return nil, fmt.Errorf("profiling memory: %w", err)
	}
	var own profiler = &guestProfile{opts: opts}
	if opts.Engine {
		own = newEngineProfile(opts.Regions)
	}
	shim, daemon := &wholeProfile{name: "shim"}, &wholeProfile{name: "daemon"}
	seen := map[int]bool{}
	for i, pid := range slices.Concat(scope.Own, scope.Shared) {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if seen[pid] {
			continue
		}
		seen[pid] = true
		to := own
		switch {
		case pid == scope.Shim:
			to = shim
		case i >= len(scope.Own):
			to = daemon
		}
		if err := to.add(ctx, proc, pid); err != nil {
			return nil, fmt.Errorf("profiling the memory of process %d: %w", pid, refused(err))
		}
	}
	return slices.Concat(own.components(), shim.components(), daemon.components()), nil
}

// A profiler adds up what processes of one part of the scope consist of.
type profiler interface {
	add(ctx context.Context, proc procfs.FS, pid int) error
	components() []Component
}

// wholeProfile does not divide its processes.
type wholeProfile struct {
	name  string
	bytes int64
	any   bool
}

func (w *wholeProfile) add(_ context.Context, proc procfs.FS, pid int) error {
	f, err := footprintOf(proc, pid)
	w.bytes, w.any = w.bytes+f.PSS, true
	return err
}

func (w *wholeProfile) components() []Component {
	if !w.any {
		return nil
	}
	return []Component{{w.name, w.bytes}}
}

// mappingsOf returns the mappings of a process, which add up to its PSS to the
// byte.
func mappingsOf(ctx context.Context, proc procfs.FS, pid int) ([]mapping, error) {
	ms, err := readMappings(ctx, pid)
	if err != nil {
		return nil, err
	}
	f, err := footprintOf(proc, pid)
	if err != nil {
		return nil, err
	}
	spread(ms, f.PSS)
	return ms, nil
}
