// Fileio is a guest: the request is OP NAME SIZE BLOCK COUNT SEED. The file is of
// pages, and of page p in generation g the words are p, g and then what is the same in
// all, so that what is read can be told from what was never written and from what
// was overwritten since. Only one block of it is in memory.
package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/seed-0132abb7/wasmbench/workload/guests/go/driver"
	"github.com/seed-0132abb7/wasmbench/workload/guests/go/files"
	"github.com/seed-0132abb7/wasmbench/workload/guests/go/number"
	"github.com/seed-0132abb7/wasmbench/workload/guests/go/request"
)

const (
	page      = 4096
	mostSize  = 1 << 40
	mostBlock = 1 << 26
	mostCount = 1 << 22
)

// A job is a request.
type job struct {
	op, name           string
	size, block, count int64
	seed               uint32
}

// parse reads the form of a request; the operation is not looked at.
func parse(asked []byte) (j job, ok bool) {
	fields, ok := request.Split(asked, 6)
	if !ok || len(fields[1]) > 255 || strings.ContainsFunc(fields[1], func(c rune) bool { return c <= ' ' || c > '~' }) {
		return j, false
	}
	j.op, j.name = fields[0], fields[1]
	var good [4]bool
	var seed int64
	j.size, good[0] = request.Number(fields[2], page, mostSize)
	j.block, good[1] = request.Number(fields[3], page, mostBlock)
	j.count, good[2] = request.Number(fields[4], 0, mostCount)
	seed, good[3] = request.Number(fields[5], 0, math.MaxUint32)
	j.seed = uint32(seed)
	return j, good == [4]bool{true, true, true, true} && j.block%page == 0 && j.size%j.block == 0
}

// The one block, and how much of its begin holds pages to write. Requests come one
// at a time: it is no server.
var (
	block     []byte
	patterned int
)

// room returns the block with the size of the job's.
func (j job) room() []byte {
	if int64(cap(block)) < j.block {
		block, patterned = nil, 0 // the collector may have it
		block = make([]byte, j.block)
	}
	return block[:j.block]
}

// stamped returns the block as pages of the job's generation from offset at.
func (j job) stamped(at int64) []byte {
	b := j.room()
	if patterned < len(b) {
		for i := range uint32(page / 4) {
			binary.LittleEndian.PutUint32(b[4*i:], number.Scatter(i))
		}
		for i := page; i < len(b); i += page {
			copy(b[i:], b[:page])
		}
		patterned = len(b)
	}
	for i := 0; i < len(b); i += page {
		binary.LittleEndian.PutUint32(b[i:], uint32((at+int64(i))/page))
		binary.LittleEndian.PutUint32(b[i+4:], j.seed)
	}
	return b
}

// inspect returns the sum of the generations of the pages that were read at offset
// at.
func (j job) inspect(b []byte, at int64) (sum uint32, err error) {
	for i := 0; i < len(b); i += page {
		n := binary.LittleEndian.Uint32(b[i:])
		if n != uint32((at+int64(i))/page) {
			return 0, fmt.Errorf("reading %s: page %d at %d", j.name, n, at+int64(i))
		}
		sum += binary.LittleEndian.Uint32(b[i+4:])
	}
	return sum, nil
}

// with opens the file for what is done with it and closes it again.
func (j job) with(what string, flags int, do func(*os.File) error) error {
	f, err := os.OpenFile(j.name, flags, 0o644)
	if err != nil {
		return files.Failed(what, j.name, err)
	}
	err = do(f)
	if closed := f.Close(); err == nil {
		err = files.Failed("closing", j.name, closed)
	}
	return err
}

func (j job) write() (sum uint32, err error) {
	err = j.with("creating", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, func(f *os.File) error {
		for at := int64(0); at < j.size; at += j.block {
			if err := files.WriteAt(f, j.stamped(at), at, at); err != nil {
				return err
			}
		}
		return files.Failed("syncing", j.name, f.Sync())
	})
	return j.seed * uint32(j.size/page), err
}

func (j job) read() (sum uint32, err error) {
	b := j.room()
	patterned = 0
	err = j.with("opening", os.O_RDONLY, func(f *os.File) error {
		for at := int64(0); at < j.size; at += j.block {
			if err := files.ReadAt(f, b, at); err != nil {
				return err
			}
			s, err := j.inspect(b, at)
			if err != nil {
				return err
			}
			sum += s
		}
		switch n, err := f.ReadAt(b[:1], j.size); {
		case n > 0:
			return fmt.Errorf("reading %s: long: more than %d bytes", j.name, j.size)
		case err != io.EOF:
			return files.Failed("reading", j.name, err)
		}
		return nil
	})
	return sum, err
}

// place returns the offset of the ith random operation.
func (j job) place(i uint32) int64 {
	return j.block * (int64(number.Scatter(number.Scatter(j.seed)+i)) % (j.size / j.block))
}

// times are those of the last random operations, in nanoseconds: between the two
// readings of the clock is nothing else. They are of Go's clock, which is the
// monotonic one, though time.Now reads that of the day too.
var times []byte

func note(took time.Duration) {
	times = binary.LittleEndian.AppendUint32(times, uint32(min(took.Nanoseconds(), math.MaxUint32)))
}

func (j job) randRead() (sum uint32, err error) {
	b := j.room()
	patterned, times = 0, times[:0]
	err = j.with("opening", os.O_RDONLY, func(f *os.File) error {
		for i := range uint32(j.count) {
			at := j.place(i)
			before := time.Now()
			err := files.ReadAt(f, b, at)
			took := time.Since(before)
			if err != nil {
				return err
			}
			note(took)
			s, err := j.inspect(b, at)
			if err != nil {
				return err
			}
			sum += s
		}
		return nil
	})
	return sum, err
}

func (j job) randWrite() (sum uint32, err error) {
	times = times[:0]
	err = j.with("opening", os.O_WRONLY, func(f *os.File) error {
		for i := range uint32(j.count) {
			at := j.place(i)
			b := j.stamped(at)
			before := time.Now()
			err := files.WriteAt(f, b, at, int64(i)*j.block)
			took := time.Since(before)
			if err != nil {
				return err
			}
			note(took)
		}
		return files.Failed("syncing", j.name, f.Sync())
	})
	return j.seed * uint32(j.count*j.block/page), err
}

// clock reads the clock as around so many random operations.
func (j job) clock() error {
	for range j.count {
		before := time.Now()
		if took := time.Since(before); took < 0 {
			return fmt.Errorf("reading the clock: it went back by %v", -took)
		}
	}
	return nil
}

// remove removes the file, if it is there.
func (j job) remove() error {
	if err := syscall.Unlink(j.name); !errors.Is(err, fs.ErrNotExist) {
		return files.Failed("removing", j.name, err)
	}
	return nil
}

func answer(dst, asked []byte) []byte {
	j, ok := parse(asked)
	if !ok {
		j.op = "" // which is refused below
	}
	var moved int64
	var sum uint32
	var err error
	switch j.op {
	case "write":
		moved = j.size
		sum, err = j.write()
	case "read":
		moved = j.size
		sum, err = j.read()
	case "randread":
		moved = j.count * j.block
		sum, err = j.randRead()
	case "randwrite":
		moved = j.count * j.block
		sum, err = j.randWrite()
	case "clock":
		moved = j.count
		err = j.clock()
	case "remove":
		err = j.remove()
	default:
		err = request.Refuse(asked, "write, read, randread, randwrite, clock or remove, NAME SIZE BLOCK COUNT SEED, "+
			"SIZE to 1099511627776 in blocks, BLOCK to 67108864 in pages of 4096, COUNT to 4194304, SEED to 4294967295")
	}
	if err != nil {
		return request.Fail(dst, err)
	}
	dst = fmt.Appendf(dst, "%d %d", moved, sum)
	if j.op == "randread" || j.op == "randwrite" {
		dst = append(append(dst, '\n'), times...)
	}
	return dst
}

func init() { driver.Register(answer) }

func main() { driver.Main() }
