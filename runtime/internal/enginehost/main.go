package enginehost

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/seed-0132abb7/wasmbench/runtime"
)

// Main carries out the verb of an engine host's command line and ends the
// process. The verbs are
//
//	info run|hold            print the version and the settings of a verb, a line each
//	compile MODULE ARTIFACT  make ARTIFACT of MODULE
//	run MODULE [ARTIFACT]    run a command on this process's standard files
//	hold MODULE [ARTIFACT]   hold instances of a reactor and do what the harness asks on standard input,
//	                         unless it takes that back on CancelFile
//	serve [-pool N] [-web] ADDRESS MODULE [ARTIFACT]
//	                         answer HTTP requests on ADDRESS, a host and a port, with instances of
//	                         a reactor: a new one for each request or, with -pool, N that are kept.
//	                         With -web they are asked as package workload/guests/go/web has it
//
// run and serve write a Report on ReportFile: run when the module has been
// instantiated, serve just before it listens. store is what e gives its guests,
// or nil. It is closed at the end where all went well: else a guest may be at work
// with it, and the process ends.
func Main(e Engine, store Store, args []string) {
	begun := monotonic()
	err := do(e, store, args, begun)
	if err == nil && store != nil {
		err = store.Close()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func do(e Engine, store Store, args []string, begun int64) error {
	ctx := context.Background()
	verb, rest := "", args
	if len(args) > 0 {
		verb, rest = args[0], args[1:]
	}
	src := Source{}
	if len(rest) > 0 {
		src.Module = rest[0]
	}
	if len(rest) > 1 {
		src.Artifact = rest[1]
	}
	switch {
	case verb == "info" && len(rest) == 1:
		info, err := e.Info(rest[0] == "hold")
		if err == nil {
			_, err = fmt.Printf("%s\n%s\n", info.Version, info.Settings)
		}
		return err
	case verb == "compile" && len(rest) == 2:
		return e.Compile(ctx, src.Module, src.Artifact)
	case verb == "run" && (len(rest) == 1 || len(rest) == 2):
		if err := ready(e, store, 1); err != nil {
			return err
		}
		report := Report{Begun: begun}
		return e.Run(ctx, src, func() { report.Loaded = monotonic() }, func(regions []runtime.Region) {
			report.Regions = regions
			report.tell()
		})
	case verb == "hold" && (len(rest) == 1 || len(rest) == 2):
		if err := ready(e, store, maxPool); err != nil {
			return err
		}
		img, err := e.Image(src)
		if err != nil {
			return err
		}
		return hold(ctx, img, os.Stdin, os.Stdout, func() io.Reader { return os.NewFile(CancelFile, "cancels") })
	case verb == "serve":
		how, operands := serveFlags(rest)
		if len(operands) != 2 && len(operands) != 3 {
			break
		}
		if err := ready(e, store, max(how.pool, 1)); err != nil {
			return err
		}
		src := Source{Module: operands[1]}
		if len(operands) == 3 {
			src.Artifact = operands[2]
		}
		return serve(ctx, e, src, how, operands[0], begun)
	}
	return fmt.Errorf("engine host: %q is not one of: info run|hold, compile MODULE ARTIFACT, run MODULE [ARTIFACT], hold MODULE [ARTIFACT], serve [-pool N] [-web] ADDRESS MODULE [ARTIFACT]", strings.Join(args, " "))
}

// ready readies this process for guests: its memory is bounded where the engine needs
// it, and their database is open.
func ready(e Engine, store Store, instances int) error {
	if l, ok := e.(Limiter); ok {
		if err := l.Limit(instances); err != nil {
			return err
		}
	}
	if store == nil {
		return nil
	}
	return store.Open()
}

// serveFlags takes the flags of serve from the front of its arguments. Where one
// is not as it must be nothing is left of them.
func serveFlags(args []string) (how serving, rest []string) {
	f := flag.NewFlagSet("serve", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.IntVar(&how.pool, "pool", 0, "")
	f.BoolVar(&how.web, "web", false, "")
	if f.Parse(args) != nil {
		return serving{}, nil
	}
	return how, f.Args()
}

// serve loads a reactor, opens its first instances, tells the harness and then
// listens, as a server does whose readiness means that it can answer. It
// returns only if it fails.
func serve(ctx context.Context, e Engine, src Source, how serving, address string, begun int64) error {
	img, err := e.Image(src)
	if err != nil {
		return err
	}
	report := Report{Begun: begun}
	s, err := newServer(ctx, img, how, func(time.Time) { report.Loaded = monotonic() })
	if err != nil {
		return errors.Join(err, img.Close())
	}
	report.tell()
	if _, err := s.listen(address); err != nil {
		return errors.Join(err, s.close(), img.Close())
	}
	<-s.served
	return s.failed
}
