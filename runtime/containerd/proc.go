package containerd

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// isShim tells a shim from who takes in the children of one that has died.
func isShim(pid int) bool {
	name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	return err == nil && strings.HasPrefix(string(name), "containerd-shim")
}

// shimOf returns the shim that is the parent of a process, or 0 where it has
// died or the process has ended.
func shimOf(pid int) int {
	shim, err := parent(pid)
	if err != nil || !isShim(shim) {
		return 0
	}
	return shim
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
