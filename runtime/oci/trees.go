package oci

import (
	"context"
	"path/filepath"

	"github.com/seed-0132abb7/wasmbench/workload"
)

// Trees returns the directories that make up the root file system of w's guest
// in the form f, each on top of those before it: its base, if w is layered and
// has one, and its own.
func Trees(ctx context.Context, w workload.Workload, f workload.Form) ([]string, error) {
	own, err := w.Artifact(ctx, f)
	if err != nil {
		return nil, err
	}
	trees := []string{own}
	if l, ok := w.(workload.Layered); ok {
		base, _, err := l.Base(ctx)
		if err != nil {
			return nil, err
		}
		if base != "" {
			trees = []string{base, own}
		}
	}
	for i := range trees {
		if trees[i], err = filepath.Abs(trees[i]); err != nil {
			return nil, err
		}
	}
	return trees, nil
}
