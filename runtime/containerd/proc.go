package containerd

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// shimOf returns the shim that is the parent of a process, or 0 where that has
// died and another has taken the process in. It is an error if the process has
// ended.
func shimOf(pid int) (int, error) {
	shim, err := parent(pid)
	if err != nil {
		return 0, err
	}
	name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", shim))
	if err != nil {
		return 0, err
	}
	if !strings.HasPrefix(string(name), "containerd-shim") {
		return 0, nil
	}
	return shim, nil
}

// parent returns the number of a process's parent.
func parent(pid int) (int, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The name, in parentheses, may contain anything.
	fields := strings.Fields(string(stat)[strings.LastIndexByte(string(stat), ')')+1:])
	if len(fields) < 2 {
		return 0, fmt.Errorf("/proc/%d/stat has %d fields", pid, len(fields))
	}
	return strconv.Atoi(fields[1])
}
