package workload

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"
)

// What a File and its operations can be.
const (
	MaxFileSize  = 1 << 36 // bytes
	MaxFileBlock = 1 << 26 // bytes
	MaxFileOps   = 1 << 22 // random operations in one request
)

// page is what the content of a file is made of, in bytes.
const page = 4096

// A File is what a file is that a guest works on, so that what the guest answers,
// and every byte of the file, can be compared with what is right. Its operations
// are workloads, to be asked of instances that have the same directory.
//
// The file is of pages of 4096 bytes. The words of 32 bits in each, least
// significant byte first, are the page's number, the generation in which it was
// last written, and numbers that are the same in every page.
type File struct {
	guest *Guest
	name  string
	size  int64
	block int

	mu    sync.Mutex
	pages []uint32 // the generation of each, nil where the file is not written
}

// NewFile returns a file that is not written yet. Its name is a path relative to
// the guest's directory, of 1 to 255 characters of ASCII without spaces. It is
// size bytes long, at most MaxFileSize, and read or written from begin to end
// in blocks of block bytes, a multiple of 4096 to MaxFileBlock that divides size.
func NewFile(l Language, name string, size int64, block int) (*File, error) {
	f := &File{guest: &Guest{name: "fileio", noHTTP: true, language: l}, name: name, size: size, block: block}
	odd := func(c rune) bool { return c <= ' ' || c > '~' }
	if len(name) < 1 || len(name) > 255 || slices.ContainsFunc([]rune(name), odd) {
		return nil, fmt.Errorf("workload fileio: name %.300q is not 1 to 255 characters of ASCII without spaces", name)
	}
	if size < page || size > MaxFileSize {
		return nil, fmt.Errorf("workload fileio: size %d is not between %d and %d", size, page, int64(MaxFileSize))
	}
	if err := f.checkBlock(block); err != nil {
		return nil, err
	}
	return f, nil
}

func (f *File) checkBlock(block int) error {
	if block < page || block > MaxFileBlock || block%page != 0 || f.size%int64(block) != 0 {
		return fmt.Errorf("workload fileio: a block of %d bytes is not a multiple of %d to %d that divides the size %d", block, page, MaxFileBlock, f.size)
	}
	return nil
}

// Name returns the path of the file, relative to the guest's directory.
func (f *File) Name() string { return f.name }

// Mount returns the directory given to WithMount, or "".
func (f *File) Mount() string { return f.guest.mount }

// WithMount returns a file of the same name and size that is not written yet, in a
// directory of the host, as Mounted tells.
func (f *File) WithMount(dir string) *File {
	return &File{guest: f.guest.WithMount(dir), name: f.name, size: f.size, block: f.block}
}

// WithBase returns a file of the same name and size that is not written yet,
// whose guest is on another base, as Guest.WithBase tells.
func (f *File) WithBase(dir, origin string) *File {
	return &File{guest: f.guest.WithBase(dir, origin), name: f.name, size: f.size, block: f.block}
}

// Write creates the file, or truncates the one that is there, writes pages of the
// generation given from begin to end and syncs it. To give up the blocks of a file
// that is there may take longer than to write it: where a Write is timed, a Remove
// comes before the clock.
func (f *File) Write(generation uint32) (*FileOp, error) {
	return f.op("write", generation, f.block, 0)
}

// Read reads the file from begin to end and checks the number of each page and
// that the file ends where it should.
func (f *File) Read() (*FileOp, error) { return f.op("read", 0, f.block, 0) }

// RandomRead reads count blocks of block bytes, as NewFile takes them, at places
// that seed determines, and checks the number of each page. Count is from 1 to
// MaxFileOps.
func (f *File) RandomRead(seed uint32, count, block int) (*FileOp, error) {
	return f.op("randread", seed, block, count)
}

// RandomWrite writes count blocks of block bytes of the generation given, at the
// places that RandomRead with that seed reads, and then syncs the file.
func (f *File) RandomWrite(generation uint32, count, block int) (*FileOp, error) {
	return f.op("randwrite", generation, block, count)
}

// Clock reads the guest's clock as often as count random operations do, without
// these, and no file.
func (f *File) Clock(count int) (*FileOp, error) { return f.op("clock", 0, f.block, count) }

// Remove removes the file. That there is none is no error, for then it is gone.
func (f *File) Remove() (*FileOp, error) { return f.op("remove", 0, f.block, 0) }

func (f *File) op(kind string, seed uint32, block, count int) (*FileOp, error) {
	o := &FileOp{file: f, kind: kind, seed: seed, block: block, count: count}
	if err := f.checkBlock(block); err != nil {
		return nil, err
	}
	if (o.random() || kind == "clock") && (count < 1 || count > MaxFileOps) {
		return nil, fmt.Errorf("workload fileio: count %d of %s is not between 1 and %d", count, kind, MaxFileOps)
	}
	name := f.name
	if kind == "clock" {
		name = "-"
	}
	o.request = fmt.Appendf(nil, "%s %s %d %d %d %d", kind, name, f.size, block, count, seed)
	return o, nil
}

// Verify compares every byte that r reads with what the file should be after all
// that was written. The error names the first offset at which they differ, or
// tells that r is too short or too long. It takes the time to read the file.
func (f *File) Verify(r io.Reader) error {
	f.mu.Lock()
	pages := slices.Clone(f.pages)
	f.mu.Unlock()
	if pages == nil {
		return f.unwritten()
	}
	var want [page]byte
	for i := range uint32(page / 4) {
		binary.LittleEndian.PutUint32(want[4*i:], scatter(i))
	}
	got := make([]byte, min(1<<20, f.size))
	for at := int64(0); at < f.size; at += int64(len(got)) {
		got = got[:min(int64(len(got)), f.size-at)]
		n, err := io.ReadFull(r, got)
		if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
			return fmt.Errorf("workload fileio: reading %s at %d: %w", f.name, at+int64(n), err)
		}
		for i := 0; i < n; i += page {
			number := (at + int64(i)) / page
			binary.LittleEndian.PutUint32(want[:], uint32(number))
			binary.LittleEndian.PutUint32(want[4:], pages[number])
			if d := differ(got[i:min(i+page, n)], want[:]); d >= 0 {
				return fmt.Errorf("workload fileio: %s: byte %d is %#02x, want %#02x, in page %d of generation %d",
					f.name, at+int64(i+d), got[i+d], want[d], number, pages[number])
			}
		}
		if n < len(got) {
			return fmt.Errorf("workload fileio: %s: it ends after %d bytes, want %d", f.name, at+int64(n), f.size)
		}
	}
	switch n, err := io.ReadFull(r, got[:1]); {
	case n > 0:
		return fmt.Errorf("workload fileio: %s: it goes on after %d bytes", f.name, f.size)
	case err != io.EOF:
		return fmt.Errorf("workload fileio: reading %s at %d: %w", f.name, f.size, err)
	}
	return nil
}

// differ returns the index of the first byte of got that is not that of want,
// which is as long or longer, or -1.
func differ(got, want []byte) int {
	if bytes.Equal(got, want[:len(got)]) {
		return -1
	}
	for i, b := range got {
		if b != want[i] {
			return i
		}
	}
	return -1
}

func (f *File) unwritten() error {
	return fmt.Errorf("workload fileio: %s: nothing is known of its content, for no Write was answered before", f.name)
}

// A FileOp is an operation on a File. Check moves the File on when the answer to an
// operation that changes it is right, so operations on one File are asked and
// checked one after the other.
type FileOp struct {
	file    *File
	kind    string
	seed    uint32
	block   int
	count   int
	request []byte
}

// Name returns "fileio".
func (o *FileOp) Name() string { return o.file.guest.name }

// Language returns what the guest is written in.
func (o *FileOp) Language() Language { return o.file.guest.language }

// Artifact returns the guest as Guest.Artifact does.
func (o *FileOp) Artifact(ctx context.Context, f Form) (string, error) {
	return o.file.guest.Artifact(ctx, f)
}

// Base returns what Guest.Base does.
func (o *FileOp) Base(ctx context.Context) (dir, origin string, err error) {
	return o.file.guest.Base(ctx)
}

// Mount returns the directory of the File.
func (o *FileOp) Mount() string { return o.file.Mount() }

// Request returns what the guest is asked.
func (o *FileOp) Request() []byte { return o.request }

// Count returns how many random operations on the file it is, each of which has its
// own time; 0 for others.
func (o *FileOp) Count() int {
	if o.random() {
		return o.count
	}
	return 0
}

// Bytes returns how many bytes it moves between the guest and the file.
func (o *FileOp) Bytes() int64 {
	switch o.kind {
	case "write", "read":
		return o.file.size
	}
	return int64(o.Count()) * int64(o.block)
}

func (o *FileOp) random() bool { return o.kind == "randread" || o.kind == "randwrite" }

// Check compares answer with the right one, as Guest.Check does, and where it is
// right to a Write, a RandomWrite or Remove makes it what the File is. To read or
// to write at random what was not written before is an error whatever the answer.
func (o *FileOp) Check(answer []byte) error {
	head, rest := o.divide(answer)
	f := o.file
	f.mu.Lock()
	defer f.mu.Unlock()
	err := f.guest.compare(head, o.right())
	if f.pages == nil && (o.kind == "read" || o.random()) && !errors.As(err, new(*GuestError)) {
		return f.unwritten()
	}
	if err != nil {
		return err
	}
	if len(rest) != 4*o.Count() {
		return o.misses(rest)
	}
	o.apply()
	return nil
}

// right returns the right answer, without the times.
func (o *FileOp) right() []byte {
	moved, sum := o.Bytes(), uint32(0)
	switch pages := o.file.pages; o.kind {
	case "write", "randwrite":
		sum = o.seed * uint32(moved/page)
	case "read":
		for _, g := range pages {
			sum += g
		}
	case "randread":
		for first, end := range o.places {
			for i := first; i < end && pages != nil; i++ {
				sum += pages[i]
			}
		}
	case "clock":
		moved = int64(o.count)
	}
	return fmt.Appendf(nil, "%d %d", moved, sum)
}

// divide returns the line that an answer is or begins with, and the times after
// it.
func (o *FileOp) divide(answer []byte) (head, times []byte) {
	if !o.random() {
		return answer, nil
	}
	head, times, _ = bytes.Cut(answer, []byte("\n"))
	return head, times
}

// apply makes the file what it is after the operation.
func (o *FileOp) apply() {
	f := o.file
	fill := func(pages []uint32) {
		for i := range pages {
			pages[i] = o.seed
		}
	}
	switch o.kind {
	case "write":
		if f.pages == nil {
			f.pages = make([]uint32, f.size/page)
		}
		fill(f.pages)
	case "randwrite":
		for first, end := range o.places {
			fill(f.pages[first:end])
		}
	case "remove":
		f.pages = nil
	}
}

// places yields the pages of each random operation, from the first to before the
// end.
func (o *FileOp) places(yield func(first, end int) bool) {
	blocks := uint32(o.file.size / int64(o.block))
	each := o.block / page
	start := scatter(o.seed)
	for i := range uint32(o.count) {
		first := int(scatter(start+i)%blocks) * each
		if !yield(first, first+each) {
			return
		}
	}
}

// Latencies returns how long each of the Count operations took, as the guest has
// it by its monotonic clock, with what reading that takes: from an answer that Check
// has taken. What took longer than 4.29 s, the most that a guest tells, is told as
// that.
func (o *FileOp) Latencies(answer []byte) ([]time.Duration, error) {
	_, times := o.divide(answer)
	if len(times) != 4*o.Count() {
		return nil, o.misses(times)
	}
	var all []time.Duration
	for ; len(times) > 0; times = times[4:] {
		all = append(all, time.Duration(binary.LittleEndian.Uint32(times)))
	}
	return all, nil
}

// misses is the error about an answer without a time for each operation.
func (o *FileOp) misses(times []byte) error {
	return fmt.Errorf("workload %s: the answer has %d bytes of times, want %d for %d operations", o.file.guest.label(), len(times), 4*o.Count(), o.Count())
}
