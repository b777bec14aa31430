package enginetest

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// Files tests that guests find the directory that they are given, and nothing
// of the host beside it.
func Files(t *testing.T, s Subject) {
	s.begin(t)
	for _, l := range s.Languages {
		t.Run(string(l), func(t *testing.T) {
			t.Run("command", func(t *testing.T) { s.testCommand(t, l) })
			t.Run("reactor", func(t *testing.T) { s.testReactor(t, l) })
		})
	}
	t.Run("changes", s.testChanges)
	t.Run("links", s.testLinks)
	t.Run("no directory", s.testNoDirectory)
	t.Run("descriptors", s.testDescriptors)
}

const secret = "not for guests"

// tree makes a directory for guests, and beside it a file that is not for them.
func tree(t testing.TB) (dir, outside string) {
	t.Helper()
	root := t.TempDir()
	dir, outside = filepath.Join(root, "inside"), filepath.Join(root, "secret")
	if err := errors.Join(os.MkdirAll(filepath.Join(dir, "sub"), 0o755), os.WriteFile(outside, []byte(secret), 0o666)); err != nil {
		t.Fatal(err)
	}
	return dir, outside
}

// ask makes a call and returns its answer, or what was wrong as one.
func ask(t testing.TB, inst runtime.Instance, request string) string {
	t.Helper()
	answer, err := inst.Call(t.Context(), []byte(request))
	if err != nil {
		t.Fatalf("%s: %v", request, err)
	}
	return string(answer)
}

func (s *Subject) testCommand(t *testing.T, l workload.Language) {
	dir, _ := tree(t)
	if err := os.WriteFile(filepath.Join(dir, "request"), []byte("put sub/data written by a command"), 0o644); err != nil {
		t.Fatal(err)
	}
	e := s.New(t, dir, false)
	if err := e.Run(t.Context(), s.source(t, e, l, workload.Command, false), func() {}, func([]runtime.Region) {}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"answer": "20", "sub/data": "written by a command"} {
		if b, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(b) != want {
			t.Errorf("%s: %q, error %v; want %q", name, b, err, want)
		}
	}
}

func (s *Subject) testReactor(t *testing.T, l workload.Language) {
	dir, outside := tree(t)
	img := s.image(t, l, dir, false)
	first, second := start(t, img), start(t, img)
	for _, tt := range [][2]string{
		{"put data some text", "9"},
		{"get data", "some text"},
		{"get ./data", "some text"},
		{"get /data", "some text"},
		{"get sub/../data", "some text"},
		{"put sub/data other text", "10"},
		{"put data less", "4"},
	} {
		if got := ask(t, first, tt[0]); got != tt[1] {
			t.Errorf("%s: %q, want %q", tt[0], got, tt[1])
		}
	}
	if got := ask(t, second, "get data"); got != "less" {
		t.Errorf("another instance reads %q", got)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "sub/data")); err != nil || string(b) != "other text" {
		t.Errorf("the host reads %q, error %v", b, err)
	}
	// C's library leaves the dots to the engine. Go's takes them away itself, so
	// that above the root is the root again: it finds nothing of such a name, but
	// it can make a file of it, in the directory.
	names := []string{"../secret", "/../secret", "sub/../../secret", "sub/../../../" + filepath.Base(filepath.Dir(outside)) + "/secret", outside, "/etc/passwd", "../made", "/../made"}
	for _, name := range names {
		if got := ask(t, first, "get "+name); !strings.HasPrefix(got, "error: ") {
			t.Errorf("get %s: %q, want an error", name, got)
		}
	}
	for _, name := range names {
		if got := ask(t, first, "put "+name+" x"); !strings.HasPrefix(got, "error: ") && l != workload.Go {
			t.Errorf("put %s: %q, want an error", name, got)
		}
	}
	if b, err := os.ReadFile(outside); err != nil || string(b) != secret {
		t.Errorf("the file outside is %q, error %v", b, err)
	}
	if _, err := os.Lstat(filepath.Join(filepath.Dir(outside), "made")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a guest made a file outside: error %v", err)
	}
	if got := ask(t, first, "get data"); got != "less" {
		t.Errorf("after the errors the guest reads %q", got)
	}
}

// testChanges does with files what reading and writing is not.
func (s *Subject) testChanges(t *testing.T) {
	dir, _ := tree(t)
	inst := start(t, s.image(t, workload.C, dir, false))
	for _, tt := range [][2]string{
		{"put data abc", "3"},
		{"add data def", "3"},
		{"get data", "abcdef"},
		{"mkdir new", "0"},
		{"rename new/data data", "0"},
		{"hardlink again new/data", "0"},
		{"get again", "abcdef"},
		{"remove again", "0"},
		{"get new/data", "abcdef"},
		{"remove new/data", "0"},
		{"remove new", "0"},
	} {
		if got := ask(t, inst, tt[0]); got != tt[1] {
			t.Errorf("%s: %q, want %q", tt[0], got, tt[1])
		}
	}
	for _, wrong := range []string{"get data", "get new/data", "remove new", "list new", "mkdir sub", "rename x data"} {
		if got := ask(t, inst, wrong); !strings.HasPrefix(got, "error: ") {
			t.Errorf("%s: %q, want an error", wrong, got)
		}
	}
	if got := ask(t, inst, "list ."); got != "2" && got != "6" { // with the two dots or without
		t.Errorf("the directory with one in it has %q entries, counted twice", got)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("the directory has %v, error %v", left, err)
	}
}

// testLinks follows links out of the directory that the host made there and that
// the guest makes itself.
func (s *Subject) testLinks(t *testing.T) {
	dir, outside := tree(t)
	if err := os.MkdirAll(filepath.Join(dir, "sub/deep"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{
		"sub/up": "../secret", "sub/deep/up": "../../secret", // within the directory, until they are moved
		"relative": "../secret", "absolute": outside, "above": "..", "within": "data", "data": "sub/data",
	} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	inst := start(t, s.image(t, workload.C, dir, false))
	ask(t, inst, "put sub/data some text")
	if got := ask(t, inst, "get within"); got != "some text" {
		t.Errorf("a link that stays within the directory: %q", got)
	}
	for _, name := range []string{"relative", "absolute", "above/secret"} {
		got := ask(t, inst, "get "+name)
		t.Logf("the link %s: %q", name, got)
		if !strings.HasPrefix(got, "error: ") {
			t.Errorf("the link %s: %q, want an error", name, got)
		}
	}
	// An engine may refuse to make the link or to follow it.
	for _, target := range []string{"../secret", outside} {
		made := ask(t, inst, "link made "+target)
		t.Logf("making a link to %s: %q", target, made)
		if got := ask(t, inst, "get made"); !strings.HasPrefix(got, "error: ") {
			t.Errorf("a link to %s that the guest made: %q, want an error", target, got)
		}
		os.Remove(filepath.Join(dir, "made"))
	}
	// A link that stays within the directory leads out of it from elsewhere, and so
	// does one in a directory that is moved.
	if err := os.WriteFile(filepath.Join(dir, "secret"), []byte("for guests"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"sub/up", "sub/deep/up"} {
		if got := ask(t, inst, "get "+name); got != "for guests" {
			t.Errorf("the link %s before it is moved: %q", name, got)
		}
	}
	for _, tt := range []struct{ move, name string }{
		{"hardlink linked sub/up", "linked"}, // to the link or to what it names
		{"rename moved sub/up", "moved"},
		{"rename deep sub/deep", "deep/up"},
	} {
		t.Logf("%s: %q", tt.move, ask(t, inst, tt.move))
		got := ask(t, inst, "get "+tt.name)
		t.Logf("%s: %q, written: %q", tt.name, got, ask(t, inst, "put "+tt.name+" x"))
		if got == secret {
			t.Errorf("%s: the guest reads what is outside", tt.move)
		}
	}
	if b, err := os.ReadFile(outside); err != nil || string(b) != secret {
		t.Errorf("the file outside is %q, error %v", b, err)
	}
}

func (s *Subject) testNoDirectory(t *testing.T) {
	inst := start(t, s.image(t, workload.C, "", false))
	for _, request := range []string{"get /etc/passwd", "get etc/passwd", "put x y"} {
		if got := ask(t, inst, request); !strings.HasPrefix(got, "error: ") {
			t.Errorf("%s: %q, want an error", request, got)
		}
	}
	dir, file := tree(t)
	for _, wrong := range []string{filepath.Join(dir, "absent"), file} {
		e := s.New(t, wrong, false)
		src := s.source(t, e, workload.C, workload.Command, false)
		runErr := e.Run(t.Context(), src, func() {}, func([]runtime.Region) {})
		_, err := e.Image(src)
		for _, err := range []error{runErr, err} {
			if err == nil || !strings.Contains(err.Error(), wrong) {
				t.Errorf("the directory %s gave %v", wrong, err)
			}
		}
	}
	// One that is gone when an instance starts is an error too.
	img := s.image(t, workload.C, dir, false)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := img.Start(t.Context(), unmarked); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), dir) {
		t.Errorf("a directory that is gone gave %v", err)
	}
	// And so is one that cannot be opened because too much is.
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := filesUsedUp(t, func() error { _, err := img.Start(t.Context(), unmarked); return err }); !errors.As(err, new(*runtime.Exhausted)) || !strings.Contains(err.Error(), dir) {
		t.Errorf("with no file to be had: %v", err)
	}
}

// filesUsedUp returns what f does while this process may open no file.
func filesUsedUp(t *testing.T, f func() error) error {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	defer syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Max: limit.Max}); err != nil {
		t.Fatal(err)
	}
	return f()
}

// testDescriptors starts and closes instances that have opened files.
func (s *Subject) testDescriptors(t *testing.T) {
	dir, _ := tree(t)
	img := s.image(t, workload.C, dir, false)
	cycle := func() {
		inst, err := img.Start(t.Context(), unmarked)
		if err != nil {
			t.Fatal(err)
		}
		if got := ask(t, inst, "put data text"); got != "4" {
			t.Error(got)
		}
		if err := inst.Close(); err != nil {
			t.Error(err)
		}
	}
	cycle() // what the engine opens once
	before := descriptors(t)
	for range 200 {
		cycle()
	}
	if after := descriptors(t); after > before {
		t.Errorf("200 instances left %d of this process's descriptors open", after-before)
	}
}

func descriptors(t testing.TB) int {
	t.Helper()
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(open)
}
