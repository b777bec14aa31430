// Package runtime says how a workload is run: a Runtime makes a guest ready as
// an Image, starting the image gives an Instance, and an instance answers
// calls.
//
// The packages below it adapt one system each: native, wazero, wasmtime,
// wasmedge, spin, runc, containerd and docker. None of them is imported here, so
// a program links only the systems that it names.
//
// # Guests with a database
//
// The guest of a Stored workload that is a module reaches the database through two
// functions that every engine's host gives it, and no other guest, in the module
// wasmbench:
//
//	sql(request i32, size i32, answer i32, capacity i32) i32
//	sql_again(answer i32, capacity i32) i32
//
// sql does what the request of size bytes asks, as package workload/guests/go/sqlwire
// encodes it, and returns the length of the answer, which is at the address answer if
// it fits in capacity. Else nothing was written there, and sql_again fetches the same
// answer, or returns its length again. An answer of more than 64 KiB is there until it
// was fetched, and at a server until the instance has answered its client: then its
// length is 0. A request, or room for an answer, that is not
// within the guest's memory is a trap, and nothing was done.
//
// The host opens the database before there is a guest. Such a guest has no directory,
// in which it could put another file in the place of its database.
//
// Each instance has a session of its own, from its first sql to its end. As a server
// an instance that answers in the midst of a transaction has failed: the transaction
// is rolled back and the client told so with status 500.
package runtime

import (
	"context"
	"io"
	"time"

	"github.com/seed-0132abb7/wasmbench/workload"
)

// A Runtime executes guests: the host itself, an engine or a container
// manager. Its methods may be called from several goroutines.
//
// A runtime that keeps something alive between images, such as a daemon, is
// also an io.Closer; whoever made it closes it when its images are closed.
type Runtime interface {
	// Name is the value of /runtime= in a benchmark's name.
	Name() string
	// Probe tells the version and the settings, or returns an *Unavailable.
	// It may build what the runtime needs, which can take minutes once.
	Probe(context.Context) (Info, error)
	// Prepare makes a workload's guest ready to start: it compiles, packs or
	// unpacks. It is paid once and is not part of any start.
	Prepare(context.Context, workload.Workload) (Image, error)
}

// Info describes a runtime that is available.
type Info struct {
	Version  string // of the engine or the manager
	Settings string // what was chosen that may move a figure, in one line
}

// Unavailable says what is absent, why, and what would make it available.
type Unavailable = workload.Unavailable

// An Image is a guest made ready on a runtime.
type Image interface {
	// Start brings up one instance and returns when the instance has said
	// that it is ready. It calls mark at the end of each phase it can tell
	// apart, with the time at which the phase ended, in the order of time.
	// On error nothing is left running. It may be called from several
	// goroutines at a time; whether their starts overlap is the runtime's.
	Start(ctx context.Context, mark func(Phase, time.Time)) (Instance, error)
	// Bytes is what the image takes on disk: the executable, the compiled
	// artefact or the image's layers.
	Bytes() int64
	// Close gives back what Prepare took. Instances are closed first.
	io.Closer
}

// An Instance is a running image. Its methods are for one goroutine at a time.
type Instance interface {
	// Call sends a request and returns the answer, which is valid until the
	// next Call or Close. After an error the instance can only be closed.
	Call(ctx context.Context, request []byte) ([]byte, error)
	// Scope names what the instance consists of.
	Scope() Scope
	// Close ends the instance and leaves nothing behind, also after the
	// context of Start or Call has ended.
	io.Closer
}

// A Scope names the processes and the cgroup of an instance, for a meter.
type Scope struct {
	Own    []int  // processes that end with the instance
	Shared []int  // processes that serve other instances too, such as a daemon
	Shim   int    // the one of them that looks after the guest for a container manager, 0 where there is none
	Cgroup string // path below a controller's mount, "" where there is none
}

// A Mapper is an instance of an engine that tells where in the memory of its
// process it lies. What no region names is the engine's own.
type Mapper interface {
	Regions(context.Context) ([]Region, error)
}

// A Region is a part of the memory of a process, by its addresses or by the file
// that is mapped.
type Region struct {
	Kind       RegionKind
	Start, End uintptr // of a range that may be reserved only in part; 0 where Path tells
	Path       string  // a file, or a directory that holds it
}

// A RegionKind says what lies in a region.
type RegionKind uint8

const (
	LinearMemory RegionKind = iota // the memory of the module
	ModuleCode                     // what the module was compiled to
)

// An Unloader is an image that keeps something of its guest in memory between
// starts. Unload forgets it, so that the next start is a first one again.
type Unloader interface {
	Unload(context.Context) error
}

// A Shipped image, or image of a server, tells what another machine of the same kind
// would have to be given for the guest to start there without being compiled. Images of
// containers are none: they are shipped as images.
type Shipped interface {
	// Files returns the paths of what is the guest's own: the module, what it was
	// compiled to, or both where the engine reads both.
	Files() []string
	// HostFiles returns the paths of the program that runs the guest and of the shared
	// libraries that it is linked with, the C library among them.
	HostFiles(context.Context) ([]string, error)
}

// A StartTimer is an image whose starts are too short to be timed through a
// pipe. TimeStarts makes n starts, one after the other, where the engine is,
// and returns their timelines.
//
// If first is set each start is a first one, as after Unload. The clock of each
// stops when the answer has been compared with an answer that check is given;
// a start whose answer check refuses is an error.
type StartTimer interface {
	TimeStarts(ctx context.Context, n int, first bool, request []byte, check func([]byte) error) ([]Timeline, error)
}

// A CallTimer is an instance whose calls are too short to be timed through a
// pipe. TimeCalls makes n calls, one after the other, where the engine is, and
// returns how long each took. Answers are checked as in StartTimer.
type CallTimer interface {
	TimeCalls(ctx context.Context, n int, request []byte, check func([]byte) error) ([]time.Duration, error)
}

// A BatchTimer is an instance whose calls are shorter than reading the clock
// around each of them. TimeBatches makes n batches of size calls each where the
// engine is, and returns how long each batch took. Answers are checked as in
// StartTimer.
type BatchTimer interface {
	TimeBatches(ctx context.Context, n, size int, request []byte, check func([]byte) error) ([]time.Duration, error)
}

// A Companion is an instance that lives in one process with others of its image.
// CallTogether calls it with the first of requests and others, instances of the
// same image, with those that follow, all at the same time and each on a thread
// of its own. It returns the answers in that order and the time from before the
// first call until the last has answered, taken where the engine is. After an
// error the instances can only be closed.
type Companion interface {
	CallTogether(ctx context.Context, others []Instance, requests [][]byte) (answers [][]byte, took time.Duration, err error)
}

// A Guarder is a runtime that can end a call of a guest that does not return
// without ending the process around it, at the price of checks in the guest's
// code.
type Guarder interface {
	// Guarded returns the same runtime with these checks, under the same name: when
	// the context of a start or call ends, it returns an error and the instance can
	// only be closed, but the others of its process live on. A guest that does not
	// stop within two seconds, such as one that waits in a call of the host, ends
	// its process after all. It is nil where an instance has a process of its own,
	// whose end is guard enough. Where such checks are not to be had, Probe and
	// Prepare of what it returns give an *Unavailable.
	Guarded() Runtime
}

// A Restarter is an instance that can be stopped without being removed, as a
// container can. What Start made for it, such as a root file system, stays.
type Restarter interface {
	// Stop ends the guest and keeps the instance.
	Stop(context.Context) error
	// Restart starts the guest again and returns when it has said that it is
	// ready, calling mark as Image.Start does. After an error the instance can
	// only be closed.
	Restart(ctx context.Context, mark func(Phase, time.Time)) error
}

// A Pauser is an instance whose processes can be frozen and thawed.
type Pauser interface {
	// Pause returns when no process of the instance runs any more.
	Pause(context.Context) error
	// Resume lets them go on.
	Resume(context.Context) error
}
