// Parallel is a guest: the request is KERNEL FROM TO WORKERS. The kernel goes over
// the numbers of that range, which are an array in memory, in one contiguous part
// for each worker. The answer is the sum of theirs and the number of workers.
//
// The workers are the goroutine that is asked and others, since these are what Go
// has. However many are asked for, no more than GOMAXPROCS run at a time. In a
// module there is one, since there all take turns on one thread.
package main

import (
	"errors"
	"runtime"
	"strconv"
	"sync"

	"github.com/seed-0132abb7/wasmbench/workload/guests/go/driver"
	"github.com/seed-0132abb7/wasmbench/workload/guests/go/number"
	"github.com/seed-0132abb7/wasmbench/workload/guests/go/request"
)

const (
	mostNumbers = 1 << 28
	mostWorkers = 256
	rounds      = 32
)

var kernels = map[string]func([]uint32) uint64{"sum": sum, "hash": hash}

func sum(x []uint32) (s uint64) {
	for _, n := range x {
		if y := 2 * n; y%3 == 0 {
			s += uint64(y)
		}
	}
	return s
}

// hash works on each number for so long that memory does not matter.
func hash(x []uint32) (s uint64) {
	for _, n := range x {
		for range rounds {
			n = number.Scatter(n + 1)
		}
		s += uint64(n >> 8)
	}
	return s
}

// The numbers from first, which stay until others are asked for. Requests come one
// at a time: it is no server.
var (
	array []uint32
	first uint32
)

func numbers(from, to uint32) []uint32 {
	if len(array) == int(to-from) && first == from {
		return array
	}
	array, first = nil, from // the collector may have it
	array = make([]uint32, to-from)
	for i := range array {
		array[i] = number.Scatter(from+uint32(i)) >> 8
	}
	return array
}

// A part is what one worker computes.
type part struct {
	x    []uint32
	sum  uint64
	done bool
}

// share has each part of x computed and returns the sum of all and how many were.
func share(kernel func([]uint32) uint64, x []uint32, workers int64) (sum uint64, did int) {
	n := int64(len(x))
	parts := make([]part, workers)
	compute := func(p *part) { p.sum, p.done = kernel(p.x), true }
	var others sync.WaitGroup
	for k := range workers {
		p := &parts[k]
		p.x = x[n*k/workers : n*(k+1)/workers]
		if k > 0 {
			others.Go(func() { compute(p) })
		}
	}
	compute(&parts[0])
	others.Wait()
	for _, p := range parts {
		sum += p.sum
		if p.done {
			did++
		}
	}
	return sum, did
}

func answer(dst, asked []byte) []byte {
	fields, ok := request.Split(asked, 4)
	var from, to, workers int64
	var kernel func([]uint32) uint64
	if ok {
		kernel = kernels[fields[0]]
		from, ok = request.Number(fields[1], 0, mostNumbers-1)
	}
	if ok {
		to, ok = request.Number(fields[2], from+1, mostNumbers)
	}
	if ok {
		workers, ok = request.Number(fields[3], 1, min(mostWorkers, to-from))
	}
	if !ok || kernel == nil {
		return request.Fail(dst, request.Refuse(asked, "sum or hash, FROM TO WORKERS, FROM < TO <= 268435456, WORKERS from 1 to 256 and to TO - FROM"))
	}
	if runtime.GOOS == "wasip1" && workers > 1 {
		return request.Fail(dst, errors.New(strconv.FormatInt(workers, 10)+" workers: a module has one thread"))
	}
	sum, did := share(kernel, numbers(uint32(from), uint32(to)), workers)
	dst = strconv.AppendUint(dst, sum, 10)
	return strconv.AppendInt(append(dst, ' '), int64(did), 10)
}

func init() { driver.Register(answer) }

func main() { driver.Main() }
