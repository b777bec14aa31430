package measure_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/seed-0132abb7/wasmbench/measure"
)

// A value is read until it has stayed within 1 % for a tenth of a second.
func ExampleSettle() {
	level, more := int64(0), int64(1<<20)
	fill := func(context.Context) (int64, error) {
		level, more = level+more, more/2
		return level, nil
	}
	settled, err := measure.Settle(context.Background(), fill, measure.SettleOptions{Window: 100 * time.Millisecond, Timeout: time.Hour})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("settled:", settled.OK, "- near two million:", settled.Value>>14 == 1<<21>>14-1)
	// Output:
	// settled: true - near two million: true
}
