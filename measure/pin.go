package measure

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// A Division says on which processors a load generator runs and on which the
// services that it drives. Where both are nil everything runs where it may.
type Division struct{ Client, Server []int }

// fewestToDivide is how many processors are divided: of fewer, one that is kept from
// the services is too much of what they would have.
const fewestToDivide = 4

// Divide divides the processors on which this process may run: a quarter of them is
// the generator's, and threads of one core are on one side as far as that allows.
// Fewer than 4 are not divided.
func Divide() (Division, error) {
	var may unix.CPUSet
	if err := unix.SchedGetaffinity(0, &may); err != nil {
		return Division{}, fmt.Errorf("asking on which processors this process may run: %w", err)
	}
	return divide(processorsOf(&may), coreOf), nil
}

func divide(processors []int, coreOf func(int) string) Division {
	if len(processors) < fewestToDivide {
		return Division{}
	}
	var cores []string
	byCore := map[string][]int{}
	for _, cpu := range processors {
		core := coreOf(cpu)
		if byCore[core] == nil {
			cores = append(cores, core)
		}
		byCore[core] = append(byCore[core], cpu)
	}
	var ordered []int
	for _, core := range cores {
		ordered = append(ordered, byCore[core]...)
	}
	server := len(ordered) - len(ordered)/4
	return Division{Client: ordered[server:], Server: ordered[:server]}
}

// coreOf names the core that a processor is a thread of, by all its threads.
func coreOf(cpu int) string {
	own := strconv.Itoa(cpu)
	b, err := os.ReadFile(filepath.Join("/sys/devices/system/cpu/cpu"+own, "topology/thread_siblings_list"))
	if err != nil { // a system that does not tell
		return own
	}
	return string(b)
}

func processorsOf(set *unix.CPUSet) (all []int) {
	for cpu := 0; len(all) < set.Count(); cpu++ {
		if set.IsSet(cpu) {
			all = append(all, cpu)
		}
	}
	return all
}

// pin has all threads of the processes run on these processors only, until restore
// is called. Threads and processes that they start inherit it. With no processors
// it does nothing. A process that has ended is left out.
func pin(pids, processors []int) (restore func() error, err error) {
	before := make(map[int]unix.CPUSet, len(pids))
	restore = func() (err error) {
		for pid, set := range before {
			err = errors.Join(err, confine(pid, &set))
		}
		return err
	}
	if len(processors) == 0 {
		return restore, nil
	}
	var wanted unix.CPUSet
	for _, cpu := range processors {
		wanted.Set(cpu)
	}
	for _, pid := range pids {
		var set unix.CPUSet
		switch err := unix.SchedGetaffinity(pid, &set); {
		case errors.Is(err, unix.ESRCH):
			continue
		case err != nil:
			return nil, errors.Join(fmt.Errorf("asking on which processors process %d may run: %w", pid, err), restore())
		}
		before[pid] = set
		if err := confine(pid, &wanted); err != nil {
			return nil, errors.Join(err, restore())
		}
	}
	return restore, nil
}

// confine has all threads of a process run on these processors. It looks for threads
// until it finds none that it has not seen, for one may have been started meanwhile
// by another that was still where it was.
func confine(pid int, processors *unix.CPUSet) error {
	seen := map[int]bool{}
	for more := true; more; {
		more = false
		threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
		if err != nil && !gone(err) {
			return fmt.Errorf("listing the threads of process %d: %w", pid, err)
		}
		for _, t := range threads {
			tid, err := strconv.Atoi(t.Name())
			if err != nil || seen[tid] {
				continue
			}
			seen[tid], more = true, true
			if err := unix.SchedSetaffinity(tid, processors); err != nil && !gone(err) {
				return fmt.Errorf("moving thread %d of process %d to the processors %v: %w", tid, pid, processorsOf(processors), err)
			}
		}
	}
	return nil
}

func gone(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) }
