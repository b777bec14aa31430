// Boundary is a guest that passes between itself and what runs it. `echo` is
// answered with echo. `syscall N` makes N calls out of the guest, each of the
// least that the system does and each checked, `loop N` N rounds of a loop, where an
// engine that can end a guest has to look whether it shall.
package main

import (
	"errors"
	"math"
	"strconv"

	"github.com/seed-0132abb7/wasmbench/workload/guests/go/driver"
	"github.com/seed-0132abb7/wasmbench/workload/guests/go/request"
)

// loop makes one backward branch a round: Go's compiler neither repeats the body
// of such a loop nor computes what comes of it.
func loop(rounds uint32) uint32 {
	x := uint32(1)
	for range rounds {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
	}
	return x
}

// callOuts makes n calls and compares what each returns with the first.
func callOuts(n uint32) error {
	first, ok := callOut()
	for i := range n {
		if again, right := callOut(); !ok || !right || again != first {
			return errors.New("syscall " + strconv.Itoa(int(n)) + ": call " + strconv.Itoa(int(i+1)) + " was not answered as the first")
		}
	}
	return nil
}

func pass(asked []byte) (uint32, error) {
	refused := request.Refuse(asked, "echo, syscall N or loop N, N from 1 to 2147483647")
	fields, ok := request.Split(asked, 2)
	if !ok {
		return 0, refused
	}
	n, ok := request.Number(fields[1], 1, math.MaxInt32)
	switch {
	case ok && fields[0] == "syscall":
		return uint32(n), callOuts(uint32(n))
	case ok && fields[0] == "loop":
		return loop(uint32(n)), nil
	}
	return 0, refused
}

func answer(dst, asked []byte) []byte {
	if string(asked) == "echo" {
		return append(dst, asked...)
	}
	result, err := pass(asked)
	if err != nil {
		return request.Fail(dst, err)
	}
	return strconv.AppendUint(dst, uint64(result), 10)
}

func init() { driver.Register(answer) }

func main() { driver.Main() }
