package runtime

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"time"

	"github.com/seed-0132abb7/wasmbench/workload"
)

// A Server is a runtime that can also run a guest as an HTTP server: a POST of
// a request to / is answered with status 200 and the answer as the body. A guest
// whose workload is Web, with Exchanges, is sent every request, of any method and
// target, and gives status, content type and body itself.
type Server interface {
	// PrepareServer makes the guest ready to serve, as Prepare does for calls.
	PrepareServer(context.Context, workload.Workload, ServeOptions) (ServerImage, error)
}

// ServeOptions say how requests reach a guest that has no HTTP server of its
// own: a WebAssembly module, in front of which its engine's host listens. The
// zero value instantiates the module anew for each request.
type ServeOptions struct {
	// Pool is how many instances are kept to answer requests, one after the
	// other each. 0 takes a new instance for each request.
	Pool int
	// Bridge puts a container on a bridge in a network namespace rather than into
	// the host's network; its services are Networked where that is not the
	// harness's own. Elsewhere PrepareServer returns NoBridge.
	Bridge bool
}

// A ServerImage is a guest made ready to serve.
type ServerImage interface {
	// Serve starts one instance that listens on address, a host and a port of
	// the loopback interface; with "" the runtime chooses the port. It returns
	// as soon as the instance runs, which may be before it takes connections,
	// and calls mark as Image.Start does, but never with Ready. On error
	// nothing is left running.
	Serve(ctx context.Context, address string, mark func(Phase, time.Time)) (Service, error)
	// Bytes is as in Image.
	Bytes() int64
	// Close gives back what PrepareServer took. Services are closed first.
	io.Closer
}

// A Service is an instance that listens for HTTP requests.
type Service interface {
	// Address is the host and the port on which it listens.
	Address() string
	// Ended is closed when the instance has ended by itself.
	Ended() <-chan struct{}
	// Explain adds to an error met in talking to the service how it ended, if
	// it has, and the last lines of its log. It returns nil for nil.
	Explain(error) error
	// Scope names what the service consists of.
	Scope() Scope
	// Close ends the service and leaves nothing behind, also after the context
	// of Serve has ended.
	io.Closer
}

// A Networked service is reached from a network namespace that need not be the
// harness's.
type Networked interface {
	// Network returns the path of that namespace, for setns(2); "" is the one in
	// which the harness is.
	Network() string
}

// NoBridge is the error of the runtime of that name where ServeOptions.Bridge is
// asked of it and it has none.
func NoBridge(name string) *Unavailable {
	return &Unavailable{
		What: "a bridge for " + name,
		Why:  "what it starts is in the host's network",
		Fix:  "choose runc, containerd or docker, or no bridge",
		Err:  workload.ErrNoForm,
	}
}

// FreeAddress returns an address of the loopback interface on which nobody
// listens at the moment. Its port is below those that the kernel gives to
// outgoing connections: a client that keeps trying such a port meets itself
// now and then.
func FreeAddress() (string, error) {
	const lowest, highest = 16384, 32767
	var err error
	for range 100 {
		var l net.Listener
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(lowest+rand.IntN(highest-lowest+1)))
		if l, err = net.Listen("tcp", address); err == nil {
			return address, l.Close()
		}
	}
	return "", fmt.Errorf("looking for a free port from %d to %d of the loopback interface: %w", lowest, highest, err)
}
