package engine

import "context"

// HostFiles returns what an image tells of a host's program.
func HostFiles(ctx context.Context, host string) ([]string, error) {
	return shipped{label: "test", host: host}.HostFiles(ctx)
}
