package measure

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/seed-0132abb7/wasmbench/internal/osthread"
	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// Exchanges returns what a service of w can be asked under load, with the right
// responses: those of a workload.Web as they are, else one exchange, a POST of the
// workload's request to /. Its answer is the one that the service gives now, once,
// and that the workload has checked: every later one must be the same bytes.
func Exchanges(ctx context.Context, svc runtime.Service, w workload.Workload) ([]workload.Exchange, error) {
	if web, ok := w.(workload.Web); ok {
		if all := web.Exchanges(); len(all) > 0 {
			return all, nil
		}
	}
	asked := exchangeOf(w)
	check := asked.check
	asked.check = func(body []byte) error {
		asked.Answer = bytes.Clone(body)
		return check(body)
	}
	begin := time.Now()
	err := osthread.InNetwork(network(svc), func() error { return firstResponse(ctx, svc, asked, begin, runtime.NewTimeline(begin)) })
	if err != nil {
		return nil, svc.Explain(fmt.Errorf("asking %s for the right answer: %w", svc.Address(), err))
	}
	return []workload.Exchange{asked.Exchange}, nil
}
