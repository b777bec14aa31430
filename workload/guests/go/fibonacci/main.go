// Fibonacci is a guest: the request is n in decimal, the answer the nth number.
package main

import (
	"strconv"

	"github.com/seed-0132abb7/wasmbench/workload/guests/go/driver"
)

// never is an n that is not asked for.
const never = 1000

// witness is what keeps fib a function with an effect, as in the C guest, so
// that both do the same work.
//
//lint:ignore U1000 it is only written
var witness uint64

//go:noinline
func fib(n uint32) uint64 {
	result := uint64(n)
	if n >= 2 {
		result = fib(n-1) + fib(n-2)
	}
	if n == never {
		witness = result
	}
	return result
}

func answer(dst, request []byte) []byte {
	n, err := strconv.ParseUint(string(request), 10, 32)
	if err != nil {
		return append(dst, err.Error()...)
	}
	return strconv.AppendUint(dst, fib(uint32(n)), 10)
}

func init() { driver.Register(answer) }

func main() { driver.Main() }
