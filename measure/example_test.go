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

// One's own guest, here an executable that speaks the worker protocol, is
// started twenty times; each start is timed to its first checked answer.
func ExampleStarts() {
	ctx := context.Background()
	executable, err := workload.Hello(workload.Go).Artifact(ctx, workload.Executable)
	if err != nil {
		log.Fatal(err)
	}
	w := workload.Prebuilt{
		Label: "greeter",
		Files: map[workload.Form]string{workload.Executable: executable},
		Ask:   []byte("you"), Want: []byte("Hello, you!"),
	}
	for _, r := range []runtime.Runtime{native.New()} {
		img, err := r.Prepare(ctx, w)
		if err != nil {
			log.Fatal(err)
		}
		starts, err := measure.Starts(ctx, img, w, 20, measure.StartOptions{})
		if err != nil {
			log.Fatal(err)
		}
		for _, m := range measure.StartMetrics(starts) {
			if m.Unit == "p50-ns" {
				fmt.Println(r.Name(), "has a median:", m.Value > 0)
			}
		}
		img.Close()
	}
	// Output:
	// native has a median: true
}

// A guest that serves is started six times; each start is timed to the first
// checked response with status 200.
func ExampleFirstRequests() {
	ctx := context.Background()
	w := workload.Hello(workload.Go)
	server, ok := native.New().(runtime.Server)
	if !ok {
		log.Fatal("it cannot serve")
	}
	img, err := server.PrepareServer(ctx, w, runtime.ServeOptions{})
	if err != nil {
		log.Fatal(err)
	}
	defer img.Close()
	requests, err := measure.FirstRequests(ctx, img, w, 6, measure.StartOptions{Limit: time.Minute})
	if err != nil {
		log.Fatal(err)
	}
	for _, m := range measure.StartMetrics(requests) {
		if m.Unit == "p50-ns" {
			fmt.Println("median of", len(requests), "first requests:", m.Value > 0)
		}
	}
	// Output:
	// median of 6 first requests: true
}
