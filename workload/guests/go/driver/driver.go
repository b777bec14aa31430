// Package driver connects a guest written in Go, one function from request
// bytes to answer bytes, to the harness: as a worker on standard input and
// output, or, with the build tag of the same name, as an HTTP server, as a CGI
// program or as the exported functions of a reactor. They are tags because a
// guest that linked net/http would start later.
package driver

import "github.com/seed-0132abb7/wasmbench/workload/guests/go/web"

// An Answer appends the answer to request to dst and returns the extended
// slice. It keeps neither, and may be called from several goroutines.
type Answer = func(dst, request []byte) []byte

var answer Answer

// Register names the guest's function. It is called from an init function, for
// the main function of a reactor never runs.
func Register(f Answer) { answer = f }

// A Handler appends the body of the response to r to dst and returns it extended,
// with the status and the content type. It keeps nothing of either, and may be
// called from several goroutines. A guest that serves requests of any method and
// target names it to RegisterWeb, in place of Register.
type Handler = func(dst []byte, r web.Request) (status int, contentType string, answer []byte)

// room returns b with length n, with new memory where it is too short.
func room(b []byte, n int) []byte {
	if n > cap(b) {
		return make([]byte, n)
	}
	return b[:n]
}
