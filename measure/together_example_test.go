package measure_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/seed-0132abb7/wasmbench/measure"
	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/native"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// Two processes of a guest are asked at the same time.
func ExampleTogether() {
	ctx := context.Background()
	w := workload.Hello(workload.Go)
	img, err := native.New().Prepare(ctx, w)
	if err != nil {
		log.Fatal(err)
	}
	defer img.Close()
	var team []measure.Part
	for range 2 {
		inst, err := img.Start(ctx, func(runtime.Phase, time.Time) {})
		if err != nil {
			log.Fatal(err)
		}
		defer inst.Close()
		team = append(team, measure.Part{Instance: inst, Workload: w})
	}
	took, err := measure.Together(ctx, team, measure.CallOptions{Limit: time.Minute})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("both have answered:", took > 0)
	// Output:
	// both have answered: true
}

// Three processes of a guest are held and left alone for a twentieth of a second.
func ExampleIdle() {
	ctx := context.Background()
	w := workload.Hello(workload.Go)
	img, err := native.New().Prepare(ctx, w)
	if err != nil {
		log.Fatal(err)
	}
	defer img.Close()
	p := measure.NewPopulation(img, w, measure.PopulationOptions{})
	defer p.Close()
	if err := p.Grow(ctx, 3); err != nil {
		log.Fatal(err)
	}
	idle, err := measure.Idle(ctx, p.Scopes(), 50*time.Millisecond)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(idle.Instances, "instances in", idle.Guest.Processes, "processes, shims and daemons:", idle.Shim.Processes+idle.Daemon.Processes)
	// Output:
	// 3 instances in 3 processes, shims and daemons: 0
}
