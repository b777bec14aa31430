// Hello is a guest: the request is a name, the answer greets it.
package main

import "github.com/seed-0132abb7/wasmbench/workload/guests/go/driver"

func answer(dst, request []byte) []byte {
	dst = append(dst, "Hello, "...)
	dst = append(dst, request...)
	return append(dst, '!')
}

func init() { driver.Register(answer) }

func main() { driver.Main() }
