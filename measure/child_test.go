package measure_test

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-0132abb7/wasmbench/measure"
	"github.com/seed-0132abb7/wasmbench/runtime"
)

const mib = 1 << 20

// childEnv makes TestChild of a re-executed test binary the child.
const childEnv = "WASMBENCH_CHILD"

// A child is a process that does what it is told.
type child struct {
	pid     int
	stdin   io.WriteCloser
	answers *bufio.Scanner
	cmd     *exec.Cmd
}

// newChild starts a child, which has files from descriptor 3 on, and ends it
// with the test.
func newChild(t *testing.T, files ...*os.File) *child {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-test.run=^TestChild$")
	cmd.Env = append(os.Environ(), childEnv+"=1")
	cmd.ExtraFiles = files
	cmd.Stderr = os.Stderr
	c := &child{cmd: cmd}
	if c.stdin, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c.pid = cmd.Process.Pid
	c.answers = bufio.NewScanner(stdout)
	t.Cleanup(func() {
		c.stdin.Close()
		cmd.Process.Kill()
		cmd.Wait()
	})
	c.tell(t, "wait", 0)
	return c
}

// tell has the child do something and returns what it answers when it has.
func (c *child) tell(t *testing.T, verb string, n int) string {
	t.Helper()
	answer, err := c.order(verb, n)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// order is tell for other goroutines than the test's.
func (c *child) order(verb string, n int) (string, error) {
	order := fmt.Sprint(verb, " ", n)
	if _, err := fmt.Fprintln(c.stdin, order); err != nil {
		return "", err
	}
	if !c.answers.Scan() {
		return "", fmt.Errorf("the child has ended over %q: %w", order, cmp.Or(c.answers.Err(), io.EOF))
	}
	answer, failed := strings.CutPrefix(c.answers.Text(), "error: ")
	if failed {
		return "", fmt.Errorf("%s: %s", order, answer)
	}
	return answer, nil
}

// usage is what a meter reads of the child.
func (c *child) usage(t *testing.T, m measure.Meter) measure.Usage {
	t.Helper()
	return readUsage(t, m, runtime.Scope{Own: []int{c.pid}})
}

func readUsage(t *testing.T, m measure.Meter, s runtime.Scope) measure.Usage {
	t.Helper()
	u, err := m.Read(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// TestChild is the child's side. It ends with its input, which is closed when
// whoever started it has ended.
func TestChild(t *testing.T) {
	if os.Getenv(childEnv) == "" {
		return
	}
	var held [][]byte
	orders := bufio.NewScanner(os.Stdin)
	for orders.Scan() {
		answer, err := obey(orders.Text(), &held)
		if err != nil {
			answer = "error: " + err.Error()
		}
		fmt.Println(strings.ReplaceAll(answer, "\n", " "))
	}
	os.Exit(0)
}

// obey carries out an order, a word and a number, and adds to held what it maps.
func obey(order string, held *[][]byte) (answer string, err error) {
	var verb string
	var n int
	if _, err := fmt.Sscan(order, &verb, &n); err != nil {
		return "", err
	}
	switch answer = "done"; verb {
	case "wait": // answers when it runs
	case "allocate": // touches n bytes of memory
		err = mapAndTouch(held, -1, n, unix.MAP_PRIVATE|unix.MAP_ANON)
	case "allocate-huge": // touches n bytes of huge pages, or answers why not
		if err := mapAndTouch(held, -1, n, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_HUGETLB); err != nil {
			answer = err.Error()
		}
	case "share": // touches n bytes of the file at descriptor 3
		err = mapAndTouch(held, 3, n, unix.MAP_SHARED)
	case "scatter": // has n page tables, with the page of zeros in each
		return scatter(held, n)
	case "free": // gives n mappings back
		for _, b := range (*held)[:n] {
			err = errors.Join(err, unix.Munmap(b))
		}
		*held = (*held)[n:]
	case "open": // opens n files
		for range n {
			if _, err := unix.Open(os.DevNull, unix.O_RDONLY, 0); err != nil {
				return "", err
			}
		}
	case "share-as-nobody": // grows a population that shares process n as another user, and answers with what is watched of it
		if err := becomeNobody(); err != nil {
			return "", err
		}
		return growSharing(n)
	case "compute": // spends n ms of processor time in user mode
		err = spend(n, compute)
	case "send-zeros": // spends n ms of processor time, nearly all in the kernel
		err = spend(n, sendZeros)
	case "read-as-nobody": // answers with the error of reading process n as another user
		if err := becomeNobody(); err != nil {
			return "", err
		}
		_, failed := measure.Memory.Read(context.Background(), runtime.Scope{Own: []int{n}})
		var u *runtime.Unavailable
		answer = fmt.Sprint(errors.As(failed, &u) && u.Fix != "", " ", failed)
	default:
		err = errors.New("what?")
	}
	return answer, err
}

func becomeNobody() error {
	const nobody = 65534
	if err := syscall.Setresuid(nobody, nobody, nobody); err != nil {
		return err
	}
	return unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0) // else it may not even read its own /proc
}

func growSharing(pid int) (watched string, err error) {
	c := &crowd{scope: func(k int) runtime.Scope { return runtime.Scope{Own: []int{1000000 + k}, Shared: []int{pid}} }}
	p := measure.NewPopulation(c, c, roomy(measure.PopulationOptions{}))
	err = p.Grow(context.Background(), 5)
	all := slices.DeleteFunc(measure.Watched(p), func(w string) bool { return strings.Contains(w, "cgroup") })
	return fmt.Sprintf("%q", all), errors.Join(err, p.Close())
}

func mapAndTouch(held *[][]byte, fd, n, flags int) error {
	b, err := unix.Mmap(fd, 0, n, unix.PROT_READ|unix.PROT_WRITE, flags)
	if err != nil {
		return err
	}
	*held = append(*held, b)
	for i := 0; i < n; i += os.Getpagesize() {
		b[i] = 1
	}
	return nil
}

// scatter reads a byte of each of n ranges for which the kernel needs a page table
// of its own, and returns how many were zero.
func scatter(held *[][]byte, n int) (string, error) {
	const span = 2 * mib
	b, err := unix.Mmap(-1, 0, n*span, unix.PROT_READ, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return "", err
	}
	*held = append(*held, b)
	// A huge page of zeros needs no table. A kernel without huge pages refuses this.
	if err := unix.Madvise(b, unix.MADV_NOHUGEPAGE); err != nil && err != unix.EINVAL {
		return "", err
	}
	zeros := 0
	for i := 0; i < len(b); i += span {
		if b[i] == 0 {
			zeros++
		}
	}
	return strconv.Itoa(zeros), nil
}
