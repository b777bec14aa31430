// Package process runs a child that talks to the harness through pipes or
// listens on an address, and makes sure that it ends.
package process

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"syscall"
)

// A Process is a running child whose standard input and output are pipes to the
// harness.
type Process struct {
	*child
	In  *os.File // write end of its standard input
	Out *os.File // read end of its standard output
}

// A Program is what a child executes.
type Program struct {
	Path  string
	Args  []string
	Dir   string     // its working directory, which exists; "" for the harness's
	Files []*os.File // its descriptors 3 and up
}

func (p Program) child() *child {
	cmd := exec.Command(p.Path, p.Args...)
	cmd.Dir, cmd.ExtraFiles = p.Dir, p.Files
	return &child{cmd: cmd}
}

// Start forks the child and returns when its program has been executed.
func Start(program Program) (*Process, error) {
	childIn, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	out, childOut, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, childIn.Close(), in.Close())
	}
	p := &Process{child: program.child(), In: in, Out: out}
	p.cmd.Stdin, p.cmd.Stdout = childIn, childOut
	err = p.launch()
	childIn.Close()
	childOut.Close()
	if err != nil {
		in.Close()
		out.Close()
		return nil, err
	}
	return p, nil
}

// Close closes the child's input and output and waits until it has ended,
// killing it after Grace.
func (p *Process) Close() error {
	p.In.Close()
	p.Out.Close()
	if !p.endsWithin(Grace) {
		p.Kill()
		<-p.done
	}
	return nil
}

// Explain adds to err, which a broken exchange brought, how the child ended and
// an excerpt of its log. It kills a child that lives. It returns nil for nil.
func (p *Process) Explain(err error) error {
	if err == nil {
		return nil
	}
	wait := Grace / 10
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) || errors.Is(err, syscall.EPIPE) {
		wait = Grace // its pipes are closed: it is ending
	}
	ended := p.endsWithin(wait)
	if !ended {
		p.Kill()
		<-p.done
	}
	return p.report(err, ended)
}
