package measure_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/seed-0132abb7/wasmbench/measure"
	"github.com/seed-0132abb7/wasmbench/runtime/native"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// Ten processes of a guest are held, or as many as the host allows, and three of
// them are asked again while all live.
func ExamplePopulation() {
	ctx := context.Background()
	w := workload.Hello(workload.Go)
	img, err := native.New().Prepare(ctx, w)
	if err != nil {
		log.Fatal(err)
	}
	defer img.Close()
	p := measure.NewPopulation(img, w, measure.PopulationOptions{OperationLimit: time.Minute})
	defer p.Close()
	err = p.Grow(ctx, 10)
	if reached := (*measure.LimitReached)(nil); errors.As(err, &reached) {
		log.Printf("%s ended it at %d: %s", reached.Limit, reached.Held, reached.Fix)
	} else if err != nil {
		log.Fatal(err)
	}
	if err := p.Check(ctx, 3); err != nil {
		log.Fatal(err)
	}
	fmt.Println("a process each:", len(p.Scope().Own) == p.Len(), "- a timed start each:", len(p.Timelines()) == p.Len())
	// Output:
	// a process each: true - a timed start each: true
}
