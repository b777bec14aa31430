package workload

import (
	"context"
	"fmt"
	"slices"
)

// A Step is a way of making the image of a service smaller: the value of /step= in a
// benchmark's name.
type Step string

const (
	// StepBase is what is made without a thought of its size. The container has the
	// distribution whole, with its package manager and documentation; the program, or
	// the module, the names of its functions and what a debugger needs.
	StepBase Step = "base"
	// StepMultistage is a container of the same program on what is left of the
	// distribution when a second stage takes over no more than the packages needed.
	StepMultistage Step = "multistage"
	// StepDistroless is a container of the program, the files that it reads and no
	// others: no shell, no package manager, and of libraries those it is linked with.
	StepDistroless Step = "distroless"
	// StepSize is a module that compiler and wasm-opt made small, rather than fast:
	// -Oz, of Go's compiler what it makes and wasm-opt -Oz of that.
	StepSize Step = "size"
	// StepAOT is the module of StepStrip, there to be precompiled by the engine.
	StepAOT Step = "aot"
	// StepStrip leaves out the names of functions and what a debugger needs: of every
	// file of the container of StepDistroless, or of the module, which is then made as
	// that of Hello is. That in C is made here, by the compiler of the other steps.
	StepStrip Step = "strip"
)

// Steps returns all of them, in the order in which they are told of.
func Steps() []Step {
	return []Step{StepBase, StepMultistage, StepDistroless, StepSize, StepAOT, StepStrip}
}

// stepForms has what each step is made of, in which form.
var stepForms = map[Form]map[Language][]Step{
	ServerRootFS: {
		Node: {StepBase, StepMultistage, StepDistroless, StepStrip},
		Go:   {StepBase, StepMultistage, StepDistroless, StepStrip},
	},
	Reactor: {
		C:  {StepBase, StepSize, StepAOT, StepStrip},
		Go: {StepBase, StepSize, StepAOT, StepStrip},
	},
}

// Shrunk is the service of workload hello, made in the way of a step: it answers as Hello
// does and is Layered.
type Shrunk struct {
	guest *Guest
	step  Step
}

// Shrink returns the service in a language and the way of a step. There are containers,
// that is the form ServerRootFS, of Node and Go for StepBase, StepMultistage,
// StepDistroless and StepStrip, and modules, the form Reactor, of C and Go for StepBase,
// StepSize, StepAOT and StepStrip. Made again, by the same tools of the same packages,
// they are the same to the byte.
func Shrink(l Language, s Step) *Shrunk { return &Shrunk{Hello(l), s} }

// Name returns "hello".
func (s *Shrunk) Name() string { return s.guest.Name() }

// Language returns what the guest is written in.
func (s *Shrunk) Language() Language { return s.guest.Language() }

// Step returns the way in which it is made.
func (s *Shrunk) Step() Step { return s.step }

// Request returns what the guest is asked.
func (s *Shrunk) Request() []byte { return s.guest.Request() }

// Check is that of Hello.
func (s *Shrunk) Check(answer []byte) error { return s.guest.Check(answer) }

// Artifact makes what the step adds to others into the user's cache, at its first use,
// which takes half a minute where that is a distribution. Where a tool is missing the
// error is an *Unavailable; where the step is none of that form or language, one that
// wraps ErrNoForm.
func (s *Shrunk) Artifact(ctx context.Context, f Form) (string, error) {
	switch {
	case !s.made(f):
		return "", s.noForm(f)
	case f == Reactor:
		return s.module(ctx)
	}
	return s.server(ctx)
}

func (s *Shrunk) made(f Form) bool { return slices.Contains(stepForms[f][s.guest.language], s.step) }

// noForm is the error about a form in which the step is not made.
func (s *Shrunk) noForm(f Form) error {
	u := &Unavailable{
		What: fmt.Sprintf("step %s of guest %s as %s", s.step, s.guest.language, f),
		Why:  "it is made in that form of no such guest",
		Fix:  fmt.Sprintf("choose containers of %v and %v or modules of %v and %v", Node, Go, C, Go),
		Err:  ErrNoForm,
	}
	if steps := stepForms[f][s.guest.language]; steps != nil {
		u.Why, u.Fix = "there is no such step in that form", fmt.Sprintf("choose one of %v", steps)
	}
	return u
}

// Base returns what is below the form ServerRootFS, or "" where the step has none.
func (s *Shrunk) Base(ctx context.Context) (dir, origin string, err error) {
	if !s.made(ServerRootFS) {
		return "", "", nil
	}
	b, err := s.base(ctx)
	return b.dir, b.origin, err
}

func (s *Shrunk) base(ctx context.Context) (base, error) {
	p := plan{whole: s.step == StepBase}
	if i, ok := interpreters[s.guest.language]; ok {
		p.interpreter = &i
	}
	switch {
	case s.step == StepBase || s.step == StepMultistage:
		return p.base(ctx)
	case p.interpreter == nil:
		return accounts(ctx)
	}
	b, err := p.base(ctx)
	if err == nil {
		b, err = p.interpreter.alone(ctx, b)
	}
	if err == nil && s.step == StepStrip {
		b, err = strip(ctx, b)
	}
	return b, err
}

// server returns the uppermost tree of a container.
func (s *Shrunk) server(ctx context.Context) (string, error) {
	if s.guest.language.Interpreted() {
		b, err := s.base(ctx)
		if err != nil {
			return "", err
		}
		return s.guest.WithBase(b.dir, b.origin).Artifact(ctx, ServerRootFS)
	}
	if s.step == StepStrip {
		return s.guest.Artifact(ctx, ServerRootFS)
	}
	executable, err := s.plainGo(ctx, Server)
	if err != nil {
		return "", err
	}
	return executableFS(ctx, executable)
}
