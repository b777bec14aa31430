package workload

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/seed-0132abb7/wasmbench/workload/guests/go/web"
)

// A Language is what a guest of the catalogue is written in: the value of
// /guest= in a benchmark's name.
type Language string

const (
	C           Language = "c"
	Go          Language = "go"
	Node        Language = "node"         // JavaScript on Node.js
	NodeJitless Language = "node-jitless" // the same, interpreted only
	Python      Language = "python"       // on CPython
)

// forms are those in which the catalogue has a workload.
var forms = map[Language][]Form{
	C:           {Executable, RootFS, Command, Reactor, CGI},
	Go:          {Executable, RootFS, Command, Reactor, CGI, Server, ServerRootFS},
	Node:        {Executable, RootFS, Server, ServerRootFS},
	NodeJitless: {Executable, RootFS, Server, ServerRootFS},
	Python:      {Executable, RootFS, Server, ServerRootFS},
}

// httpForms are those of them that are there to answer HTTP.
var httpForms = []Form{CGI, Server, ServerRootFS}

// Languages returns the languages in which the catalogue has every workload,
// each in the forms that it can have there.
func Languages() []Language { return []Language{C, Go, Node, NodeJitless, Python} }

// Interpreted tells whether guests in l are scripts that need an interpreter.
func (l Language) Interpreted() bool {
	_, ok := interpreters[l]
	return ok
}

// A Guest is a workload of the catalogue in one language.
//
// A guest in a language that is interpreted is, as Executable or Server, a
// script whose first line names the interpreter found on the host, run as that
// runs by default; its root file systems lie on a base that has one.
type Guest struct {
	name     string
	program  string // what its source is called, where that is not name
	noHTTP   bool   // it is not made in httpForms
	language Language
	request  []byte
	want     []byte
	right    func() string // in place of want, for what takes time to compute
	base     base
	mount    string

	exchanges []Exchange // of a Web guest
	stored    bool       // it works on StoreFile
	modules   []Form     // those whose programs import modules, which the embedded sources have none of
	in        []Language // those that it is made in, nil where it is in all

	judge func(answer []byte) error // in place of want, for answers that differ and are right
}

// newWeb returns a guest that is Web, which there are in Go: the content type is that
// of the answer to the first of the exchanges.
func newWeb(name string, l Language, contentType string, exchanges []Exchange) *Guest {
	first := exchanges[0]
	return &Guest{
		name:      name,
		language:  l,
		request:   web.Request{Method: first.Method, Target: first.Target, Body: first.Body}.Append(nil),
		want:      append(web.AppendHead(nil, first.Status, contentType), first.Answer...),
		exchanges: exchanges,
		in:        []Language{Go},
	}
}

// get is a GET and its right answer. Package net/http, which has names for these, would
// make every importer larger by megabytes.
func get(target string, answer []byte) Exchange {
	return Exchange{Method: "GET", Target: target, Status: 200, Answer: answer}
}

// Hello greets the name in its request: the least that a guest can do, so that
// what is measured is the runtime.
func Hello(l Language) *Guest {
	return &Guest{name: "hello", language: l, request: []byte("World"), want: []byte("Hello, World!")}
}

// MaxFibonacci is the largest n whose Fibonacci number fits in 64 bits, and
// MaxFibonacciNode the largest whose number is exact as a number of JavaScript,
// which is what its authors would use.
const (
	MaxFibonacci     = 93
	MaxFibonacciNode = 78
)

// Fibonacci computes the nth Fibonacci number by plain double recursion, about
// 1.618^n calls of a function. The guests' sources keep every compiler from
// changing that shape. n is from 0 to MaxFibonacci, for Node and NodeJitless to
// MaxFibonacciNode, beyond which these guests answer with an error.
func Fibonacci(l Language, n int) (*Guest, error) {
	most := MaxFibonacci
	if l == Node || l == NodeJitless {
		most = MaxFibonacciNode
	}
	if n < 0 || n > most {
		return nil, fmt.Errorf("workload fibonacci: n=%d is not between 0 and %d, as guest %s computes it", n, most, l)
	}
	var a, b uint64 = 0, 1
	for range n {
		a, b = b, a+b
	}
	return &Guest{
		name:     "fibonacci",
		language: l,
		request:  strconv.AppendInt(nil, int64(n), 10),
		want:     strconv.AppendUint(nil, a, 10),
	}, nil
}

// Name returns the workload's name, which the function that made it tells.
func (g *Guest) Name() string { return g.name }

// source returns what the guest's program is called.
func (g *Guest) source() string { return cmp.Or(g.program, g.name) }

// label names the guest in an error.
func (g *Guest) label() string { return g.name + "/guest=" + string(g.language) }

// Language returns what the guest is written in.
func (g *Guest) Language() Language { return g.language }

// Request returns what the guest is asked.
func (g *Guest) Request() []byte { return g.request }

// Check compares answer with the right one. The error is a *GuestError where the
// guest says why it has none, or else a *WrongAnswer, but for Image.
func (g *Guest) Check(answer []byte) error {
	if g.judge != nil {
		return g.judge(answer)
	}
	want := g.want
	if g.right != nil {
		want = []byte(g.right())
	}
	return g.compare(answer, want)
}

func (g *Guest) compare(answer, want []byte) error {
	if bytes.Equal(answer, want) {
		return nil
	}
	if text, ok := bytes.CutPrefix(answer, []byte("error: ")); ok {
		return &GuestError{Workload: g.label(), Text: string(text)}
	}
	if r, err := web.ParseResponse(answer); g.exchanges != nil && err == nil && r.Status >= 400 {
		return &GuestError{Workload: g.label(), Text: fmt.Sprintf("status %d: %s", r.Status, bytes.TrimSpace(r.Body))}
	}
	return &WrongAnswer{Workload: g.label(), Got: bytes.Clone(answer), Want: want}
}

// Mount returns the directory given to WithMount, or "".
func (g *Guest) Mount() string { return g.mount }

// WithMount returns the same guest with a directory of the host for its files,
// absolute, as Mounted tells; with "" it has none.
func (g *Guest) WithMount(dir string) *Guest {
	in := *g
	in.mount = dir
	return &in
}

// Exchanges returns the requests of a guest that is Web, and nil of others.
func (g *Guest) Exchanges() []Exchange { return g.exchanges }

// Stored tells whether the guest works on StoreFile.
func (g *Guest) Stored() bool { return g.stored }

// Artifact returns the guest in the form f from the user's cache, where it is
// built from the embedded sources at its first use. The modules of the C guests
// are embedded built; those programs of guests that import modules are built where the
// Go toolchain finds this module's sources, and what they import. Where a
// language has no such form the error is an *Unavailable that wraps ErrNoForm.
func (g *Guest) Artifact(ctx context.Context, f Form) (string, error) {
	if !slices.Contains(g.made(g.language), f) {
		return "", g.noForm(f)
	}
	switch {
	case f == RootFS:
		return g.rootFS(ctx, Executable)
	case f == ServerRootFS:
		return g.rootFS(ctx, Server)
	case g.language == Go && slices.Contains(g.modules, f):
		return buildGoModules(ctx, g.source(), f)
	case g.language == Go:
		return buildGo(ctx, g.source(), f)
	case g.language != C:
		return buildScript(ctx, g.source(), g.language, f)
	case f == Executable:
		return buildC(ctx, g.source())
	}
	return unpackModule(ctx, g.source(), f)
}

// made returns the forms in which the workload is made in l. Spin, for which there is
// CGI, is set up to serve one path.
func (g *Guest) made(l Language) []Form {
	if g.in != nil && !slices.Contains(g.in, l) {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(forms[l]), func(f Form) bool {
		return g.noHTTP && slices.Contains(httpForms, f) || g.exchanges != nil && f == CGI
	})
}

// noForm is the error about a form that is not made.
func (g *Guest) noForm(f Form) error {
	name := g.name
	if g.program != "" {
		name += " (" + g.program + ")"
	}
	u := &Unavailable{What: fmt.Sprintf("guest %s of workload %s as %s", g.language, name, f), Err: ErrNoForm}
	var those []Language
	for _, l := range Languages() {
		if slices.Contains(g.made(l), f) {
			those = append(those, l)
		}
	}
	switch made := g.made(g.language); {
	case forms[g.language] == nil:
		u.Why, u.Fix = "the catalogue has no such language", fmt.Sprintf("choose a guest of %v", Languages())
	case made == nil:
		u.Why, u.Fix = fmt.Sprintf("it is made in %v alone", g.in), fmt.Sprintf("choose a guest of %v", g.in)
	case those == nil:
		u.Why, u.Fix = "it is made in that form in no language", fmt.Sprintf("choose one of %v", made)
	default:
		u.Why, u.Fix = fmt.Sprintf("it can be had as %v", made), fmt.Sprintf("choose a guest of %v", those)
	}
	return u
}

// Base returns the root file system under those of a guest that takes an
// interpreter: the one given to WithBase, or else one of the host's distribution
// with its own interpreter, built in the user's cache at its first use, which
// takes root, mmdebstrap and some 20 seconds. Where it cannot be built the
// error is an *Unavailable. For C and Go it returns "", "", nil.
func (g *Guest) Base(ctx context.Context) (dir, origin string, err error) {
	i, ok := interpreters[g.language]
	if !ok {
		return "", "", nil
	}
	if g.base.dir != "" {
		return g.base.dir, g.base.origin, nil
	}
	b, err := debianBase(ctx, i)
	return b.dir, b.origin, err
}

// WithBase returns the same guest on another base: the directory of a root file
// system that has the interpreter in /usr/local/bin or /usr/bin, and a line that
// tells what it is. Nothing in it is run outside a container, so the guest's own
// files are not compiled for it ahead. A guest of C or Go stays without a base.
func (g *Guest) WithBase(dir, origin string) *Guest {
	on := *g
	on.base = base{dir: dir, origin: origin}
	return &on
}
