// Package workload says what is run: a function from request bytes to an
// answer that can be checked, and the guests that implement it.
//
// A Workload is handed to every runtime alike. The catalogue (Hello,
// Fibonacci, WebAPI, Microservice, DataProcessor; JSON; ParallelSum, ParallelHash,
// Boundary, Load and File; in Go alone Static, DB and Shop) brings guests in C, Go,
// JavaScript and Python whose sources and built WebAssembly modules are embedded in
// this package, so that an importer needs no checkout.
package workload

import (
	"context"
	"errors"
	"fmt"
)

// A Form is one shape in which a guest can be had.
type Form string

const (
	// Executable is a program for the host that speaks the worker protocol on
	// its standard input and output: statically linked, or a script.
	Executable Form = "executable"
	// Command is a WASI preview 1 module that exports _start and, once
	// started, behaves as the Executable does.
	Command Form = "command"
	// Reactor is a WASI preview 1 module that exports _initialize and the two
	// functions of the exchange, which README.md describes.
	Reactor Form = "reactor"
	// RootFS is a directory that holds the root file system of a container,
	// with the Executable as /guest. Where the workload is Layered it holds
	// only what comes on top of the base.
	RootFS Form = "rootfs"
	// Server is a program for the host that listens for HTTP on the address in
	// its first argument and answers a POST of a request to / with status 200
	// and the answer as the body, or what a Web workload is asked, by the HTTP
	// server that comes with its language. It logs to its standard output and
	// error.
	Server Form = "server"
	// ServerRootFS is as RootFS, with the Server as /guest.
	ServerRootFS Form = "server-rootfs"
	// CGI is a WASI preview 1 command that answers one request: it reads the
	// request, as many bytes as CONTENT_LENGTH says, from its standard input
	// and writes a CGI response with the answer as its body.
	CGI Form = "cgi"
)

// Layered is a workload whose root file systems lie on top of another that is
// shared, such as a distribution with an interpreter.
type Layered interface {
	// Base returns a directory with the root file system below RootFS and
	// ServerRootFS, and says in a line what is in it and whence; or "" where
	// there is none. The directory is shared and must not be changed.
	Base(ctx context.Context) (dir, origin string, err error)
}

// Mounted is a workload whose guest works on files in a directory of the host:
// its working directory as a process, where an engine runs it the root of all
// that it can open, in a container mounted at MountPoint and its working
// directory. The guest names files relative to its working directory.
type Mounted interface {
	// Mount returns the directory, absolute, or "" where the guest has none. It
	// exists before an instance is started and is the caller's to remove.
	Mount() string
}

// MountPoint is where a container has the directory of a Mounted workload.
const MountPoint = "/data"

// An Exchange is an HTTP request and the response that it must get.
type Exchange struct {
	Method string `json:"method"`
	Target string `json:"target"` // path and query
	Body   []byte `json:"body,omitempty"`
	Status int    `json:"status"`
	Answer []byte `json:"answer"` // the body of the response
}

// Web is a workload whose guest serves HTTP of its own kind, rather than a POST of
// Request to /. To be called, such a guest is given and gives what package
// guests/go/web describes: that is what Request and Check are about.
type Web interface {
	// Exchanges returns requests whose responses are the same whatever was asked
	// before, the first of them that of Request and Check; nil means that the
	// workload is none of these after all. The caller must not change them.
	Exchanges() []Exchange
}

// Stored is a workload whose guest works on the SQLite database StoreFile in the
// directory that it has as a Mounted one. A process opens it itself; a module
// asks its host, through the functions that package runtime describes, and has no
// directory beside.
type Stored interface {
	Stored() bool
}

// StoreFile is the database of a Stored workload, in its directory.
const StoreFile = "store.db"

// ErrNoForm is wrapped by the *Unavailable about a form in which a guest is not
// made at all, here or elsewhere, such as a module of a Node.js guest.
var ErrNoForm = errors.New("the guest is not made in this form")

// A Workload is a function from request bytes to an answer that can be
// checked, together with the guest that implements it.
type Workload interface {
	// Name is the value of /workload= in a benchmark's name.
	Name() string
	// Artifact returns the path of the guest in the form f, building it first
	// if need be. The file is shared and must not be changed. Where the guest
	// cannot be had the error is an *Unavailable.
	Artifact(ctx context.Context, f Form) (string, error)
	// Request is what an instance is asked. The caller must not change it.
	Request() []byte
	// Check returns an error, a *WrongAnswer for the catalogue, when answer is
	// not the right one to Request.
	Check(answer []byte) error
}

// Unavailable says in one line what is not to be had here, why, and what would
// make it so.
type Unavailable struct {
	What string // the runtime, guest or tool
	Why  string // the reason, as a clause
	Fix  string // the remedy, as an instruction
	Err  error  // the cause, if there is one
}

func (u *Unavailable) Error() string {
	s := u.What + " is not available: " + u.Why
	if u.Err != nil {
		s += ": " + u.Err.Error()
	}
	if u.Fix != "" {
		s += " (to have it: " + u.Fix + ")"
	}
	return s
}

// Unwrap returns the cause.
func (u *Unavailable) Unwrap() error { return u.Err }

// WrongAnswer is a guest's answer that is not the one expected.
type WrongAnswer struct {
	Workload  string
	Got, Want []byte
}

func (w *WrongAnswer) Error() string {
	return fmt.Sprintf("workload %s: wrong answer %s, want %s", w.Workload, clip(w.Got, 64), clip(w.Want, 64))
}

// GuestError is what a guest answers that cannot do what it is asked, because its
// system or its engine does not let it or because the request is none that it
// knows: the answer begins with "error: ".
type GuestError struct {
	Workload string
	Text     string // what it says after that
}

func (e *GuestError) Error() string {
	return fmt.Sprintf("workload %s: the guest could not: %s", e.Workload, clip([]byte(e.Text), 512))
}

// clip quotes the first bytes of b, at most so many, so that an error stays one
// line.
func clip(b []byte, most int) string {
	if len(b) > most {
		return fmt.Sprintf("%q... (%d bytes)", b[:most], len(b))
	}
	return fmt.Sprintf("%q", b)
}
