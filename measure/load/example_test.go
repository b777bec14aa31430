package load_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/seed-0132abb7/wasmbench/measure/load"
)

// A service is asked 500 times a second by ten users for a fifth of a second, and
// every answer is checked.
func ExampleRun() {
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "Hello, World!")
	}))
	defer service.Close()
	hello := load.Exchanges{{Method: "GET", Target: "/", Status: 200, Answer: []byte("Hello, World!")}}
	plan := load.Plan{Addresses: []string{service.Listener.Addr().String()}, Connections: 10, Rate: 500, Duration: 200 * time.Millisecond}
	r, err := load.Run(context.Background(), plan, hello, load.Events{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(r.Requests, "of", r.Offered, "answered rightly,", r.Failed, "failed; has a p99:", r.Latency.ValueAtQuantile(99) > 0)
	// Output: 100 of 100 answered rightly, 0 failed; has a p99: true
}
