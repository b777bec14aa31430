// Dataprocessor is a guest: the request is a column of a batch of numbers, row
// by row, the answer the sum of that column.
package main

import (
	"strconv"
	"sync"

	"github.com/seed-0132abb7/wasmbench/workload/guests/go/driver"
	"github.com/seed-0132abb7/wasmbench/workload/guests/go/number"
)

const (
	columns = 16
	block   = 65536
	blocks  = 64
)

// batch repeats one block of numbers and marks each copy of it.
var batch = sync.OnceValue(func() []uint32 {
	all := make([]uint32, block*blocks)
	for i := range uint32(block) {
		all[i] = number.Scatter(i)
	}
	for b := 1; b < blocks; b++ {
		copy(all[b*block:], all[:block])
	}
	for b := range blocks {
		all[b*block+b%columns] = uint32(b)
	}
	return all
})

func answer(dst, request []byte) []byte {
	all := batch()
	column, ok := number.Parse(request, columns)
	if !ok {
		return append(dst, "no such column"...)
	}
	var sum uint64
	for i := int(column); i < len(all); i += columns {
		sum += uint64(all[i])
	}
	return strconv.AppendUint(dst, sum, 10)
}

func init() { driver.Register(answer) }

func main() { driver.Main() }
