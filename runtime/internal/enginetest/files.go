package enginetest

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
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

// testLinks follows links out of the directory that the host made there and that
// the guest makes itself.
func (s *Subject) testLinks(t *testing.T) {
	dir, outside := tree(t)
	for name, target := range map[string]string{"relative": "../secret", "absolute": outside, "above": "..", "within": "data", "data": "sub/data"} {
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
		if escaped := got == secret; escaped != s.FollowsLinks {
			t.Errorf("the link %s: %q, but follows links: %t", name, got, s.FollowsLinks)
		}
	}
	// An engine may refuse to make the link or to follow it.
	for _, target := range []string{"../secret", outside} {
		made := ask(t, inst, "link made "+target)
		t.Logf("making a link to %s: %q", target, made)
		if got := ask(t, inst, "get made"); !strings.HasPrefix(got, "error: ") {
			t.Errorf("a link to %s that the guest made : %q, want an error", target, got)
		}
		os.Remove(filepath.Join(dir, "made"))
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
	if inst, err := img.Start(t.Context(), unmarked); err == nil {
		got := ask(t, inst, "put data text")
		if !strings.HasPrefix(got, "error: ") {
			t.Errorf("a guest writes into a directory that is gone: %q", got)
		}
		inst.Close()
	} else if !strings.Contains(err.Error(), dir) {
		t.Errorf("a directory that is gone gave %v", err)
	}
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
