package workload_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/workload"
)

func newFile(t *testing.T, l workload.Language, size int64) *workload.File {
	t.Helper()
	return must(workload.NewFile(l, "data", size, 1<<14))(t).WithMount(t.TempDir())
}

// scattered is what the content of files and the places in them are made of.
func scattered(n uint32) uint32 {
	n *= 0x9e3779b1
	n = (n ^ n>>15) * 0x85ebca77
	return n ^ n>>13
}

// content returns pages of these generations.
func content(generations ...uint32) []byte {
	var b []byte
	for p, g := range generations {
		b = binary.LittleEndian.AppendUint32(b, uint32(p))
		b = binary.LittleEndian.AppendUint32(b, g)
		for i := uint32(2); i < 1024; i++ {
			b = binary.LittleEndian.AppendUint32(b, scattered(i))
		}
	}
	return b
}

func TestVerify(t *testing.T) {
	f := must(workload.NewFile(workload.C, "data", 4*4096, 8192))(t)
	if err := f.Verify(bytes.NewReader(content(7, 7, 7, 7))); err == nil || !strings.Contains(err.Error(), "no Write") {
		t.Errorf("a file that was not written: %v", err)
	}
	if err := must(f.Write(7))(t).Check([]byte("16384 28")); err != nil {
		t.Fatal(err)
	}
	right := content(7, 7, 7, 7)
	if err := f.Verify(iotest.HalfReader(bytes.NewReader(right))); err != nil {
		t.Error(err)
	}
	flipped := func(at int) []byte {
		b := bytes.Clone(right)
		b[at] ^= 0x40
		return b
	}
	broken := errors.New("broken")
	for want, r := range map[string]io.Reader{
		"byte 0 ":                      bytes.NewReader(flipped(0)),
		"byte 4 ":                      bytes.NewReader(flipped(4)),
		"byte 4095 ":                   bytes.NewReader(flipped(4095)),
		"byte 8200 ":                   bytes.NewReader(flipped(8200)),
		"byte 16383 ":                  bytes.NewReader(flipped(16383)),
		"byte 8196 is 0x08, want 0x07": bytes.NewReader(content(7, 7, 8, 7)),
		"ends after 0 bytes":           bytes.NewReader(nil),
		"ends after 16383 bytes":       bytes.NewReader(right[:16383]),
		"ends after 8192 bytes":        bytes.NewReader(right[:8192]),
		"goes on after 16384 bytes":    bytes.NewReader(append(bytes.Clone(right), 0)),
		"at 4097: broken":              io.MultiReader(bytes.NewReader(right[:4097]), iotest.ErrReader(broken)),
		"at 16384: broken":             io.MultiReader(bytes.NewReader(right), iotest.ErrReader(broken)),
	} {
		err := f.Verify(r)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not tell %q", err, want)
		}
		if strings.Contains(want, "broken") && !errors.Is(err, broken) {
			t.Errorf("%v does not wrap its cause", err)
		}
	}
	if err := f.WithMount("/elsewhere").Verify(bytes.NewReader(right)); err == nil {
		t.Error("another file of that name is taken for this one")
	}
}

// What is answered makes the file what it then should be, if it is right.
func TestFileMovesOn(t *testing.T) {
	f := must(workload.NewFile(workload.C, "data", 4*4096, 8192))(t)
	check := func(o *workload.FileOp, answer, want string) {
		t.Helper()
		err := o.Check([]byte(answer))
		if want == "" != (err == nil) || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s is answered %q: error %v, want %q", o.Request(), answer, err, want)
		}
	}
	place := func(seed, i uint32, blocks uint32) uint32 { return scattered(scattered(seed)+i) % blocks }
	times := func(n int) string { return "\n" + strings.Repeat("\x01\x02\x00\x00", n) }

	read, random := must(f.Read())(t), must(f.RandomRead(5, 2, 4096))(t)
	check(read, "16384 0", "no Write")
	check(random, "8192 0"+times(2), "no Write")
	check(read, "error: opening data: No such file", "No such file")
	check(must(f.RandomWrite(5, 2, 4096))(t), "8192 10"+times(2), "no Write")
	check(must(f.Write(3))(t), "16384 13", "wrong answer")
	check(read, "16384 12", "no Write")
	check(must(f.Write(3))(t), "16384 12", "")
	check(read, "16384 12", "")
	check(random, "8192 6"+times(2), "")
	check(random, "8192 6"+times(1), "times")
	check(random, "8192 6", "times")
	check(random, "8192 6"+times(2)+"x", "times")
	check(random, "8192 7"+times(2), "wrong answer")
	check(read, "16384 12\n", "wrong answer")

	// A block of two pages, then one page; the second may lie in the first.
	generations := []uint32{3, 3, 3, 3}
	wide := place(9, 0, 2) * 2
	generations[wide], generations[wide+1] = 9, 9
	check(must(f.RandomWrite(9, 1, 8192))(t), "8192 18"+times(1), "")
	narrow := place(4, 0, 4)
	generations[narrow] = 4
	check(must(f.RandomWrite(4, 1, 4096))(t), "4096 4"+times(1), "")
	check(must(f.RandomWrite(8, 1, 4096))(t), "error: writing data: No space left on device after 0 bytes", "No space left")
	if err := f.Verify(bytes.NewReader(content(generations...))); err != nil {
		t.Error(err)
	}
	check(must(f.Clock(10))(t), "10 0", "")
	check(must(f.Clock(10))(t), "0 0", "wrong answer")
	check(must(f.Remove())(t), "error: removing data: x", "x")
	if err := f.Verify(bytes.NewReader(content(generations...))); err != nil {
		t.Error(err)
	}
	check(must(f.Remove())(t), "0 0", "")
	check(read, "16384 12", "no Write")

	for o, want := range map[*workload.FileOp]struct {
		bytes int64
		count int
	}{read: {16384, 0}, random: {8192, 2}, must(f.Clock(9))(t): {0, 0}, must(f.Remove())(t): {0, 0}, must(f.Write(1))(t): {16384, 0}, must(f.RandomWrite(1, 3, 8192))(t): {24576, 3}} {
		if o.Bytes() != want.bytes || o.Count() != want.count || o.Name() != "fileio" {
			t.Errorf("%s moves %d bytes in %d operations, want %+v", o.Request(), o.Bytes(), o.Count(), want)
		}
	}
	if l, err := random.Latencies([]byte("8192 6" + times(2))); err != nil || len(l) != 2 || l[1] != 0x201 {
		t.Errorf("times %v, %v", l, err)
	}
	if l, err := random.Latencies([]byte("8192 6" + times(3))); err == nil {
		t.Errorf("three times of two operations: %v", l)
	}
	if l, err := read.Latencies([]byte("16384 12")); err != nil || len(l) != 0 {
		t.Errorf("times %v of no operations, %v", l, err)
	}
}

func TestFileErrors(t *testing.T) {
	for _, c := range []struct {
		name  string
		size  int64
		block int
		want  string
	}{
		{"", 4096, 4096, "name"}, {"a b", 4096, 4096, "name"}, {"a\n", 4096, 4096, "name"}, {"\u00e9", 4096, 4096, "name"}, {strings.Repeat("n", 256), 4096, 4096, "name"},
		{"f", 0, 4096, "size 0"}, {"f", -4096, 4096, "size -4096"}, {"f", workload.MaxFileSize + 4096, 4096, "size 68719480832"},
		{"f", 4096, 0, "0 bytes"}, {"f", 4096, -4096, "-4096 bytes"}, {"f", 8192, 2048, "2048 bytes"}, {"f", 12288, 8192, "8192 bytes"}, {"f", 4097, 4096, "4096 bytes"},
		{"f", 2 * workload.MaxFileBlock, 2 * workload.MaxFileBlock, "134217728 bytes"},
	} {
		if f, err := workload.NewFile(workload.C, c.name, c.size, c.block); f != nil || err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.20q of %d in %d: %v, want an error about %s", c.name, c.size, c.block, err, c.want)
		}
	}
	f := newFile(t, workload.C, 1<<16)
	for _, c := range []struct {
		count, block int
		want         string
	}{{0, 4096, "count 0"}, {-1, 4096, "count -1"}, {workload.MaxFileOps + 1, 4096, "count 4194305"}, {1, 0, "0 bytes"}, {1, 4097, "4097 bytes"}, {1, 12288, "12288 bytes"}} {
		for _, op := range []func(uint32, int, int) (*workload.FileOp, error){f.RandomRead, f.RandomWrite} {
			if o, err := op(1, c.count, c.block); o != nil || err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%d of %d: %v, want an error about %s", c.count, c.block, err, c.want)
			}
		}
	}
	if _, err := f.Clock(0); err == nil {
		t.Error("no reading of the clock was taken")
	}
}

// refused asks for an operation that cannot be done.
func refused(t *testing.T, o *workload.FileOp, answer []byte, want ...string) {
	t.Helper()
	var g *workload.GuestError
	if err := o.Check(answer); !errors.As(err, &g) {
		t.Errorf("%s: error %v, want the guest's", o.Request(), err)
		return
	}
	for _, w := range want {
		if !strings.Contains(strings.ToLower(g.Text), w) {
			t.Errorf("%s: the guest says %q, which does not tell %q", o.Request(), g.Text, w)
		}
	}
}

func TestFiles(t *testing.T) {
	onEach(t, func(t *testing.T, l workload.Language, r runtime.Runtime) {
		f := newFile(t, l, 1<<20)
		path := filepath.Join(f.Mount(), f.Name())
		ask := live(t, r, must(f.Clock(10))(t))
		try := func(o *workload.FileOp, err error) []byte {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
			answer := bytes.Clone(ask(o.Request()))
			if err := o.Check(answer); err != nil {
				t.Errorf("%s: %v", o.Request(), err)
			}
			return answer
		}
		same := func() {
			t.Helper()
			b, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			if err := f.Verify(b); err != nil {
				t.Error(err)
			}
		}
		refused(t, must(f.Read())(t), ask(must(f.Read())(t).Request()), "opening data", "no such file")
		try(f.Write(4294967295))
		same()
		try(f.Read())
		try(f.RandomWrite(77, 20, 4096))
		same()
		try(f.Read())
		try(f.RandomRead(77, 300, 8192))
		try(f.RandomWrite(78, 5, 1<<16))
		same()
		try(f.Write(2)) // over what is there
		same()
		o := must(f.RandomRead(1, 200, 4096))(t)
		times, err := o.Latencies(try(o, nil))
		if err != nil || len(times) != 200 {
			t.Errorf("%d times, %v", len(times), err)
		}
		for _, d := range times {
			if d <= 0 {
				t.Fatalf("an operation took %v", d)
			}
		}

		read, random, write := must(f.Read())(t), must(f.RandomRead(1, 200, 4096))(t), must(f.RandomWrite(1, 200, 4096))(t)
		spoil := func(change func(*os.File) error) {
			t.Helper()
			b, err := os.OpenFile(path, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(change(b), b.Close()); err != nil {
				t.Fatal(err)
			}
		}
		visited := int64(scattered(scattered(1)) % 256)
		spoil(func(b *os.File) error { _, err := b.WriteAt([]byte{1}, visited*4096+1); return err })
		found := fmt.Sprintf("reading data: page %d at %d", visited+256, visited*4096)
		refused(t, read, ask(read.Request()), found)
		refused(t, random, ask(random.Request()), found)
		try(f.Write(5))
		spoil(func(b *os.File) error { return b.Truncate(1<<20 - 1) })
		refused(t, read, ask(read.Request()), "reading data: short: 16383 of 16384 bytes at 1032192")
		spoil(func(b *os.File) error { return b.Truncate(4096) })
		refused(t, random, ask(random.Request()), "reading data: short: 0 of 4096 bytes")
		try(f.Write(6))
		spoil(func(b *os.File) error { _, err := b.WriteAt([]byte{0}, 1<<20); return err })
		refused(t, read, ask(read.Request()), "reading data", "long")
		try(f.Remove())
		if _, err := os.Stat(path); !os.IsNotExist(err) {
			t.Errorf("after its removal: %v", err)
		}
		for _, o := range []*workload.FileOp{read, random, write} {
			refused(t, o, ask(o.Request()), "ing data: ", "no such file")
		}
		try(f.Remove()) // of what is not there
		if _, err := os.Stat(path); !os.IsNotExist(err) {
			t.Errorf("after the removal of nothing: %v", err)
		}
		try(f.Write(8))
		same()
		longer := must(workload.NewFile(l, f.Name(), 1<<21, 1<<14))(t).WithMount(f.Mount())
		for _, o := range []*workload.FileOp{must(longer.Write(9))(t), must(f.Write(10))(t)} {
			try(o, nil) // the second on what the first has left, which is longer
		}
		same()
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(path, 0o755); err != nil {
			t.Fatal(err)
		}
		for o, doing := range map[*workload.FileOp]string{must(f.Write(1))(t): "creating data: ", must(f.Remove())(t): "removing data: "} {
			refused(t, o, ask(o.Request()), doing)
		}
		if r.Name() == "native" {
			return
		}
		// What lies beside the directory is out of the reach of a module.
		secret := filepath.Join(filepath.Dir(f.Mount()), "secret")
		if err := os.WriteFile(secret, content(1, 1, 1, 1), 0o666); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"../secret", secret, "x/../../secret"} {
			outside := must(workload.NewFile(l, name, 1<<14, 1<<14))(t)
			for _, o := range []*workload.FileOp{must(outside.Read())(t), must(outside.RandomWrite(2, 1, 4096))(t)} {
				refused(t, o, ask(o.Request()), "ing "+strings.ToLower(name)+": ")
			}
			ask(must(outside.Remove())(t).Request()) // to some engines it is not there, so gone
		}
		if b, err := os.ReadFile(secret); err != nil || !bytes.Equal(b, content(1, 1, 1, 1)) {
			t.Errorf("a file outside was changed: %v", err)
		}
	})
}

// Beyond 4 GiB an offset does not fit in 32 bits.
func TestLargeFiles(t *testing.T) {
	const size = 6 << 30
	onEach(t, func(t *testing.T, l workload.Language, r runtime.Runtime) {
		f := newFile(t, l, size)
		b, err := os.Create(filepath.Join(f.Mount(), f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		// It has holes, and for the model pages of generation 0, at which none looks.
		if err := errors.Join(b.Truncate(size), must(f.Write(0))(t).Check(fmt.Append(nil, size, " 0"))); err != nil {
			t.Fatal(err)
		}
		ask := live(t, r, must(f.Clock(1))(t))
		const seed, count = 7, 16
		write, read := must(f.RandomWrite(seed, count, 4096))(t), must(f.RandomRead(seed, count, 4096))(t)
		for _, o := range []*workload.FileOp{write, read} {
			if err := o.Check(ask(o.Request())); err != nil {
				t.Errorf("%s: %v", o.Request(), err)
			}
		}
		for i := range uint32(count) {
			page := int64(scattered(scattered(seed)+i) % (size / 4096))
			got := make([]byte, 8)
			_, err := b.ReadAt(got, page*4096)
			if number, g := binary.LittleEndian.Uint32(got), binary.LittleEndian.Uint32(got[4:]); err != nil || int64(number) != page || g != seed {
				t.Errorf("page %d is page %d of generation %d, %v", page, number, g, err)
			}
		}
		if info, err := b.Stat(); err != nil || info.Size() != size {
			t.Errorf("%v, %v", info, err)
		}
	})
}

// fullDisk mounts a file system of so many KiB that only the calling goroutine and
// the processes that it starts see, and that is gone with them.
func fullDisk(t *testing.T, kib int) string {
	t.Helper()
	dir := t.TempDir()
	goruntime.LockOSThread() // for good: the thread, which is in another namespace, ends with the test
	err := syscall.Unshare(syscall.CLONE_NEWNS)
	if err == nil {
		err = syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, "")
	}
	if err == nil {
		err = syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%dk", kib))
	}
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES) {
		err = &workload.Unavailable{What: "a small file system", Why: "it cannot be mounted", Fix: "run the test as root", Err: err}
	}
	skip(t, err)
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func TestFullDisk(t *testing.T) {
	for _, l := range portable {
		t.Run(string(l), func(t *testing.T) {
			dir := fullDisk(t, 512)
			f := newFile(t, l, 1<<20).WithMount(dir)
			write, remove := must(f.Write(1))(t), must(f.Remove())(t)
			c := converse(t, write, true)
			refused(t, write, c.ask(write.Request()), "writing data", "no space left", "after 524288 bytes")
			load := must(workload.Load(l, workload.LoadOptions{Steps: 1, Blocks: 200}))(t).WithMount(dir)
			var g *workload.GuestError
			if err := load.Check(converse(t, load, true).ask(load.Request())); !errors.As(err, &g) || !strings.Contains(strings.ToLower(g.Text), "no space left") {
				t.Errorf("load on a full disk: %v", err)
			}
			if err := remove.Check(c.ask(remove.Request())); err != nil {
				t.Error(err)
			}
			small := must(workload.NewFile(l, "data", 1<<18, 1<<14))(t).WithMount(dir)
			again := must(small.Write(2))(t)
			if err := again.Check(c.ask(again.Request())); err != nil {
				t.Error(err)
			}
			if err := load.Check(converse(t, load, true).ask(load.Request())); !errors.As(err, &g) || !strings.Contains(g.Text, "after 262144 bytes") {
				t.Errorf("load on a disk with 256 KiB: %v", err)
			}
		})
	}
}
