package measure_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-0132abb7/wasmbench/measure"
)

func TestDivide(t *testing.T) {
	alone := func(cpu int) string { return fmt.Sprint(cpu) }
	tests := []struct {
		name           string
		processors     []int
		coreOf         func(int) string
		client, server []int
	}{
		{"none", nil, alone, nil, nil},
		{"too few", []int{0, 1, 2}, alone, nil, nil},
		{"four", []int{0, 1, 2, 3}, alone, []int{3}, []int{0, 1, 2}},
		{"some of many", []int{1, 4, 6, 9, 12, 33, 70}, alone, []int{70}, []int{1, 4, 6, 9, 12, 33}},
		{"two threads a core", []int{0, 1, 2, 3, 4, 5, 6, 7}, func(cpu int) string { return fmt.Sprint(cpu % 4) }, []int{3, 7}, []int{0, 4, 1, 5, 2, 6}},
		{"threads side by side", []int{0, 1, 2, 3, 4, 5, 6, 7}, func(cpu int) string { return fmt.Sprint(cpu / 2) }, []int{6, 7}, []int{0, 1, 2, 3, 4, 5}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := measure.DivideProcessors(tt.processors, tt.coreOf)
			if !slices.Equal(d.Client, tt.client) || !slices.Equal(d.Server, tt.server) {
				t.Errorf("the generator has %v, the services %v; want %v and %v", d.Client, d.Server, tt.client, tt.server)
			}
		})
	}
}

// Here everybody gets a part of what there is, or nobody does.
func TestDivideHere(t *testing.T) {
	d, err := measure.Divide()
	if err != nil {
		t.Fatal(err)
	}
	all := affinity(t, 0)
	if len(all) < 4 {
		if d.Client != nil || d.Server != nil {
			t.Errorf("%+v of %v", d, all)
		}
		return
	}
	both := slices.Sorted(slices.Values(slices.Concat(d.Client, d.Server)))
	if len(d.Client) == 0 || len(d.Server) < 3*len(d.Client) || !slices.Equal(both, all) {
		t.Errorf("%+v of %v", d, all)
	}
}

// affinity returns on which processors a thread may run.
func affinity(t *testing.T, tid int) (all []int) {
	t.Helper()
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(tid, &set); err != nil {
		t.Fatal(err)
	}
	for cpu := 0; len(all) < set.Count(); cpu++ {
		if set.IsSet(cpu) {
			all = append(all, cpu)
		}
	}
	return all
}

// affinities returns on which processors each thread of a process may run.
func affinities(t *testing.T, pid int) (all [][]int) {
	t.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
	if err != nil || len(threads) == 0 {
		t.Fatalf("process %d has threads %v, error %v", pid, threads, err)
	}
	for _, thread := range threads {
		var tid int
		if _, err := fmt.Sscan(filepath.Base(thread), &tid); err != nil {
			t.Fatal(err)
		}
		all = append(all, affinity(t, tid))
	}
	return all
}

func TestPin(t *testing.T) {
	c := newChild(t)
	before := affinity(t, c.pid)
	one := before[:1]
	ended := newChild(t)
	ended.stdin.Close()
	ended.cmd.Wait()
	restore, err := measure.Pin([]int{c.pid, ended.pid}, one)
	if err != nil {
		t.Fatal(err)
	}
	if threads := affinities(t, c.pid); len(threads) < 2 {
		t.Errorf("the child has %d threads: they are not told apart", len(threads))
	} else {
		for _, may := range threads {
			if !slices.Equal(may, one) {
				t.Errorf("a thread may run on %v, want %v", may, one)
			}
		}
	}
	if err := restore(); err != nil {
		t.Fatal(err)
	}
	for _, may := range affinities(t, c.pid) {
		if !slices.Equal(may, before) {
			t.Errorf("once more a thread may run on %v, want %v", may, before)
		}
	}
	const nowhere = 1023
	if slices.Contains(before, nowhere) {
		t.Skipf("there is a processor %d", nowhere)
	}
	if _, err := measure.Pin([]int{c.pid}, []int{nowhere}); err == nil {
		t.Error("a process runs on a processor that there is not")
	}
	if may := affinity(t, os.Getpid()); !slices.Equal(may, before) {
		t.Errorf("this process may run on %v, want %v", may, before)
	}
}
