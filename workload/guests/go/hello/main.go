// Hello is a guest: the request is a name, the answer greets it.
package main

import "github.com/seed-0132abb7/wasmbench/workload/guests/go/driver"

var text []byte

func answer(request []byte) []byte {
	text = append(text[:0], "Hello, "...)
	text = append(text, request...)
	text = append(text, '!')
	return text
}

func init() { driver.Register(answer) }

func main() { driver.Main() }
