package wasmbench

import (
	"context"
	"fmt"

	"github.com/seed-0132abb7/wasmbench/workload"
	"github.com/seed-0132abb7/wasmbench/workload/pull"
)

// A base is what guests of a language lie on in containers.
type base struct{ dir, origin string }

// bases holds those that flags have asked for in place of the built ones.
var bases = map[workload.Language]base{}

// pullBases fetches the images that flags refer to.
func pullBases(ctx context.Context) error {
	for _, image := range []struct {
		flag, ref string
		languages []workload.Language
	}{
		{"-node.image", *flagNodeImage, []workload.Language{workload.Node, workload.NodeJitless}},
		{"-python.image", *flagPythonImage, []workload.Language{workload.Python}},
	} {
		if image.ref == "" {
			continue
		}
		progress("pulling %s", image.ref)
		dir, origin, err := pull.Base(ctx, image.ref)
		if err != nil {
			return fmt.Errorf("%s: %w", image.flag, err)
		}
		for _, l := range image.languages {
			bases[l] = base{dir, origin}
		}
	}
	return nil
}

// onBase puts a guest on the base that a flag has asked for.
func onBase(g *workload.Guest) *workload.Guest {
	if b, ok := bases[g.Language()]; ok {
		return g.WithBase(b.dir, b.origin)
	}
	return g
}
