package load

import (
	"context"
	"fmt"

	"github.com/seed-0132abb7/wasmbench/internal/program"
)

// A builder builds a program once.
type builder struct {
	program.Program
	turn chan struct{} // of one: whoever has put something in may build
	path string
}

// own builds this module's program.
var own = builder{Program: program.Program{What: "the load generator", Kind: "load", Package: "measure/load/generator"}, turn: make(chan struct{}, 1)}

// Path returns the path of the built program.
func (b *builder) Path(ctx context.Context) (path string, err error) {
	select {
	case b.turn <- struct{}{}:
		defer func() { <-b.turn }()
	case <-ctx.Done():
		return "", fmt.Errorf("building %s: %w", b.What, context.Cause(ctx))
	}
	if b.path == "" {
		b.path, err = b.Build(ctx)
	}
	return b.path, err
}
