package measure_test

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/seed-0132abb7/wasmbench/measure"
	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// A blank is a web workload that has nothing to be asked for.
type blank struct{ fake }

func (*blank) Exchanges() []workload.Exchange { return nil }

func TestExchanges(t *testing.T) {
	ended, end := context.WithCancelCause(t.Context())
	end(errPlanted)
	var asked []string
	count := func(answer http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			asked = append(asked, r.Method+" "+r.URL.RequestURI())
			answer(w, r)
		}
	}
	wrong := func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("pang")) }
	plain := []workload.Exchange{{Method: http.MethodPost, Target: "/", Body: []byte("ping"), Status: http.StatusOK, Answer: []byte("pong")}}
	tests := []struct {
		name  string
		ctx   context.Context
		img   *listening
		w     workload.Workload
		want  []workload.Exchange
		asked int
		is    func(error) bool
		says  string
	}{
		{name: "plain", img: &listening{handle: count(pong)}, w: &fake{}, want: plain, asked: 1},
		{name: "plain, not up yet", img: &listening{handle: count(pong), delay: 20 * time.Millisecond}, w: &fake{}, want: plain, asked: 1},
		{name: "web", img: &listening{handle: count(pong)}, w: &page{}, want: (&page{}).Exchanges()},
		{name: "web without any", img: &listening{handle: count(pong)}, w: &blank{}, want: plain, asked: 1},
		{name: "wrong answer", img: &listening{handle: count(wrong)}, w: &fake{}, asked: 1, is: func(err error) bool { return errors.As(err, new(*workload.WrongAnswer)) }, says: "its log: the last line"},
		{name: "wrong status", img: &listening{handle: count(http.NotFound)}, w: &fake{}, asked: 1, says: "where 200 was expected"},
		{name: "has ended", img: &listening{dies: true}, w: &fake{}, is: func(err error) bool { return errors.Is(err, measure.ErrServiceEnded) }, says: "its log: the last line"},
		{name: "cancelled", ctx: ended, img: &listening{handle: count(pong)}, w: &fake{}, is: func(err error) bool { return errors.Is(err, errPlanted) }, says: "the right answer"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			asked = nil
			address, err := runtime.FreeAddress()
			if err != nil {
				t.Fatal(err)
			}
			svc, err := tt.img.Serve(t.Context(), address, func(runtime.Phase, time.Time) {})
			if err != nil {
				t.Fatal(err)
			}
			defer svc.Close()
			ctx := tt.ctx
			if ctx == nil {
				ctx = t.Context()
			}
			got, err := measure.Exchanges(ctx, svc, tt.w)
			if !reflect.DeepEqual(got, tt.want) || len(asked) != tt.asked {
				t.Errorf("%+v after the requests %q, want %+v after %d; error %v", got, asked, tt.want, tt.asked, err)
			}
			if fails := tt.want == nil; (err != nil) != fails || fails && (tt.is != nil && !tt.is(err) || !strings.Contains(err.Error(), tt.says)) {
				t.Errorf("error %v", err)
			}
		})
	}
}

// What is asked of a service in another network is asked there.
func TestExchangesInNetwork(t *testing.T) {
	img := &listening{handle: pong, within: newNetwork(t)}
	svc, _, err := measure.FirstResponse(t.Context(), img, &fake{})
	if err != nil {
		t.Fatal(err)
	}
	defer svc.Close()
	for range 50 {
		all, err := measure.Exchanges(t.Context(), svc, &fake{})
		if err != nil || len(all) != 1 || string(all[0].Answer) != "pong" {
			t.Fatalf("%+v, error %v", all, err)
		}
	}
	allHere(t)
}
