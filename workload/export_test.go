package workload

import (
	"context"
	"maps"
	"slices"
)

// HostSources returns why no base can be built of the host's distribution, or
// nil.
func HostSources(ctx context.Context) error {
	d, err := hostDistribution()
	if err == nil {
		_, err = d.sources(ctx)
	}
	return err
}

// What the applications answer to a number.
var (
	Product   = product
	Summary   = summary
	ColumnSum = columnSum
)

// WithModules returns g as one whose programs import modules.
func WithModules(g *Guest) *Guest {
	in := *g
	in.modules = []Form{Executable, Server}
	return &in
}

// NewWeb is newWeb.
var NewWeb = newWeb

// SourcesC and SourcesGo return the embedded files of which a guest is made.
func SourcesC(name string) ([]string, error) { return sortedFiles(sourcesC(name)) }

func SourcesGo(name string) ([]string, error) { return sortedFiles(sourcesGo(guests, name)) }

func sortedFiles(files sourceFiles, err error) ([]string, error) {
	return slices.Sorted(maps.Keys(files)), err
}
