package workload

import "context"

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
