package enginetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/seed-0132abb7/wasmbench/workload"
)

// Guards measures what it costs that a call can be ended: a loop that does
// little else, and a call that does nothing, with a context that never ends and
// with one that has a deadline.
func Guards(b *testing.B, s Subject) {
	s.begin(b)
	for _, interruptible := range []bool{false, true} {
		inst := start(b, s.image(b, workload.C, "", interruptible))
		deadline, cancel := context.WithTimeout(context.Background(), time.Hour)
		defer cancel()
		for _, c := range []struct {
			name, request string
			ctx           context.Context
		}{
			{"loop", fmt.Sprintf("loop %d", s.Rounds/10), context.Background()},
			{"call", "loop 0", context.Background()},
			{"watched", "loop 0", deadline},
		} {
			b.Run(fmt.Sprintf("%s/guards=%t", c.name, interruptible), func(b *testing.B) {
				request := []byte(c.request)
				b.ReportAllocs()
				for b.Loop() {
					if _, err := inst.Call(c.ctx, request); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
