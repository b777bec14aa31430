package measure

import (
	"fmt"
	"strconv"
	"time"
)

// Limits say how far a population may grow. An instance is only started while
// what one has taken on average says that it will fit. A limit of 0 is what the
// host gives, less what must stay for the host to be of use and for processes to
// end in order; one above that is that too, except for FreeMemory.
type Limits struct {
	// FreeMemory is how many bytes stay available, on the host and in every
	// cgroup above this process or above the instances that has a memory.max, a
	// memory.high or a memory.limit_in_bytes. 0 is a sixteenth of the memory of
	// each, but at least 512 MiB, or half of it if that is less.
	FreeMemory int64
	// Maps is how many mappings a process may have that several instances share,
	// as an engine's host or a daemon. 0 is vm.max_map_count less a sixteenth of
	// it or 256.
	Maps int
	// AddressSpace is how many bytes of addresses such a process may have
	// taken. 0 is its RLIMIT_AS, or else 63 in 64 parts of what the processor
	// gives a process.
	AddressSpace int64
	// Tasks is how many processes and threads there may be on the host. 0 is
	// the least of kernel.pid_max, kernel.threads-max and, where this process
	// is not root's, RLIMIT_NPROC, and for those in a cgroup above this process
	// or above the instances its pids.max, each less a sixteenth of it or 512.
	Tasks int
	// Files is how many files this process, and each that several instances
	// share, may have open. 0 is its RLIMIT_NOFILE less a sixteenth of it or
	// 128.
	Files int
	// Time is how long all calls of Grow together may take; what passes between
	// them does not count. 0 is no limit.
	Time time.Duration
}

// A LimitName says of what there is no more.
type LimitName string

// The limits that can end the growth of a population.
const (
	LimitFreeMemory   LimitName = "free-memory"
	LimitMapCount     LimitName = "map-count"
	LimitAddressSpace LimitName = "address-space"
	LimitTasks        LimitName = "tasks"
	LimitOpenFiles    LimitName = "open-files"
	LimitTime         LimitName = "time"
	LimitRuntime      LimitName = "runtime" // the runtime itself said that it had no more to give
)

// A LimitReached says which limit ended the growth of a population.
type LimitReached struct {
	Limit LimitName
	// Have is what there is, and Most what there may be, or with LimitFreeMemory
	// must stay: in bytes for LimitFreeMemory and LimitAddressSpace, in
	// nanoseconds for LimitTime, otherwise a number. With LimitRuntime they are 0.
	Have, Most int64
	// Next is what another instance is predicted to take, 0 where that is not
	// known.
	Next int64
	// Held is how many instances are held.
	Held int
	// Where is the cgroup or the process that it is a limit of, or what of the
	// runtime, "" for the host and for this process.
	Where string
	// Fix is how to raise the limit.
	Fix string
	// Err is what the runtime said, a *runtime.Exhausted or around one, or nil.
	Err error
}

// Unwrap returns what the runtime said.
func (e *LimitReached) Unwrap() error { return e.Err }

func (e *LimitReached) Error() string {
	form := func(v int64) string { return strconv.FormatInt(v, 10) }
	switch e.Limit {
	case LimitFreeMemory, LimitAddressSpace:
		form = inBinary
	case LimitTime:
		form = func(v int64) string { return time.Duration(v).String() }
	}
	said := fmt.Sprintf("limit %s ends the growth at %d instances: ", e.Limit, e.Held)
	if e.Err != nil {
		return said + e.Err.Error()
	}
	if e.Where != "" {
		said += e.Where + ": "
	}
	if e.Limit == LimitFreeMemory {
		said += fmt.Sprintf("%s are available and %s must stay", form(e.Have), form(e.Most))
	} else {
		said += fmt.Sprintf("%s of at most %s", form(e.Have), form(e.Most))
	}
	if e.Next > 0 {
		said += ", and another instance takes about " + form(e.Next)
	}
	return said + "; " + e.Fix
}

func inBinary(v int64) string {
	if v < 1<<20 {
		return strconv.FormatInt(v>>10, 10) + " KiB"
	}
	return strconv.FormatFloat(float64(v)/(1<<20), 'f', 1, 64) + " MiB"
}
