package measure_test

import (
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// TestMain has no process of the tests, this one and those that it starts, take
// memory by the huge page: what is planted is counted in pages of the usual size,
// also where the host has huge pages for all.
func TestMain(m *testing.M) {
	if err := unix.Prctl(unix.PR_SET_THP_DISABLE, 1, 0, 0, 0); err != nil && err != unix.EINVAL { // a kernel without them
		fmt.Fprintln(os.Stderr, "doing without huge pages:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}
