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

// The memory of an instance is read once it has stayed within 1 % for two seconds.
func ExampleSettle() {
	ctx := context.Background()
	img, err := native.New().Prepare(ctx, workload.Hello(workload.Go))
	if err != nil {
		log.Fatal(err)
	}
	defer img.Close()
	instance, err := img.Start(ctx, func(runtime.Phase, time.Time) {})
	if err != nil {
		log.Fatal(err)
	}
	defer instance.Close()
	pss := func(ctx context.Context) (int64, error) {
		u, err := measure.Memory.Read(ctx, instance.Scope())
		return u.Own.PSS + u.Shared.PSS, err
	}
	settled, err := measure.Settle(ctx, pss, measure.SettleOptions{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("settled:", settled.OK, "- more than 64 KiB:", settled.Value > 64<<10)
	// Output:
	// settled: true - more than 64 KiB: true
}
