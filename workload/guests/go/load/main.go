// Load is a guest: the request is STEPS ROUNDS BLOCKS. Each step computes so many
// rounds and then writes so many blocks to a file, each synced, read back and
// compared. The answer is what was computed and the number of blocks.
package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"os"

	"github.com/seed-0132abb7/wasmbench/workload/guests/go/driver"
	"github.com/seed-0132abb7/wasmbench/workload/guests/go/files"
	"github.com/seed-0132abb7/wasmbench/workload/guests/go/number"
	"github.com/seed-0132abb7/wasmbench/workload/guests/go/request"
)

const (
	name      = "load.dat"
	blockSize = 4096
	places    = 256
)

// The blocks are those of all requests, which come one at a time: it is no server.
var block, back [blockSize]byte

// store writes the block that x makes as the nth of the request.
func store(f *os.File, x uint32, n int64) error {
	at := n % places * blockSize
	for i := range block {
		block[i] = byte(x)
	}
	binary.LittleEndian.PutUint32(block[:], x)
	if err := files.WriteAt(f, block[:], at, n*blockSize); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return files.Failed("syncing", name, err)
	}
	if err := files.ReadAt(f, back[:], at); err != nil {
		return err
	}
	if !bytes.Equal(block[:], back[:]) {
		return fmt.Errorf("reading %s: other bytes than were written at %d", name, at)
	}
	return nil
}

func run(steps, rounds, blocks int64) (x uint32, written int64, err error) {
	var f *os.File
	if blocks > 0 {
		if f, err = os.Create(name); err != nil {
			return 0, 0, files.Failed("creating", name, err)
		}
		defer func() {
			closed, removed := f.Close(), os.Remove(name)
			if err == nil {
				err = files.Failed("closing", name, closed)
			}
			if err == nil {
				err = files.Failed("removing", name, removed)
			}
		}()
	}
	for range steps {
		for range rounds {
			x = number.Scatter(x + 1)
		}
		for range blocks {
			if err := store(f, x, written); err != nil {
				return x, written, err
			}
			written++
		}
	}
	return x, written, nil
}

func answer(dst, asked []byte) []byte {
	var n [3]int64
	fields, ok := request.Split(asked, len(n))
	for i := 0; i < len(n) && ok; i++ {
		n[i], ok = request.Number(fields[i], 0, math.MaxInt32)
	}
	if !ok || n[0] < 1 {
		return request.Fail(dst, request.Refuse(asked, "STEPS ROUNDS BLOCKS, each to 2147483647, STEPS from 1"))
	}
	x, written, err := run(n[0], n[1], n[2])
	if err != nil {
		return request.Fail(dst, err)
	}
	return fmt.Appendf(dst, "%d %d", x, written)
}

func init() { driver.Register(answer) }

func main() { driver.Main() }
