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

// Fifty processes of a guest are held, or as many as a minute and the host allow,
// and ten of them are asked again while all live.
func ExamplePopulation() {
	ctx := context.Background()
	w := workload.Hello(workload.Go)
	img, err := native.New().Prepare(ctx, w)
	if err != nil {
		log.Fatal(err)
	}
	defer img.Close()
	p := measure.NewPopulation(img, w, measure.PopulationOptions{
		Limit:  10 * time.Second,
		Limits: measure.Limits{Time: time.Minute},
	})
	defer p.Close()
	var reached *measure.LimitReached
	if err := p.Grow(ctx, 50); errors.As(err, &reached) {
		fmt.Println(reached.Limit, "ended it")
	} else if err != nil {
		log.Fatal(err)
	}
	if err := p.Check(ctx, 10); err != nil {
		log.Fatal(err)
	}
	fmt.Println(p.Len(), "instances,", len(p.Scope().Own), "processes,", len(p.Timelines()), "timed starts")
	// Output:
	// 50 instances, 50 processes, 50 timed starts
}
