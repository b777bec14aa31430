package spin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/excerpt"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/exchange"
)

// An image is an app whose instances are called.
type image struct{ *app }

// Start marks Create when spin has been executed, Start when it said that it
// serves, which it does with the guest compiled and the port bound, and Ready
// when it took a connection. The first Call uses that connection.
func (i *image) Start(ctx context.Context, mark func(runtime.Phase, time.Time)) (runtime.Instance, error) {
	p, err := i.up(ctx, anyPort)
	if err != nil {
		return nil, fmt.Errorf("spin: %w", err)
	}
	mark(runtime.Create, p.created)
	inst, err := connect(ctx, p, mark)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("spin: %w", err), p.Close())
	}
	return inst, nil
}

func connect(ctx context.Context, p *process, mark func(runtime.Phase, time.Time)) (*instance, error) {
	said, err := p.serving(ctx)
	if err != nil {
		return nil, err
	}
	mark(runtime.Start, said.at)
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", said.address)
	if err != nil {
		return nil, p.Explain(err)
	}
	mark(runtime.Ready, time.Now())
	inst := &instance{process: p, url: (&url.URL{Scheme: "http", Host: said.address, Path: "/"}).String()}
	inst.spare.Store(&conn)
	// One connection is kept. A zero Transport has no proxy, and no answer is
	// compressed behind the clock's back.
	inst.transport = &http.Transport{DisableCompression: true, MaxConnsPerHost: 1, DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		if c := inst.spare.Swap(nil); c != nil {
			return *c, nil
		}
		return d.DialContext(ctx, network, address)
	}}
	return inst, nil
}

// An instance is called by HTTP.
type instance struct {
	*process
	url       string
	transport *http.Transport
	spare     atomic.Pointer[net.Conn] // connected by Start, until a Call takes it
}

// Call posts the request to / and returns the body of the response.
func (i *instance) Call(ctx context.Context, request []byte) ([]byte, error) {
	answer, err := i.call(ctx, request)
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, i.Explain(fmt.Errorf("spin: calling the guest: %w", err))
	}
	return answer, nil
}

func (i *instance) call(ctx context.Context, request []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, i.url, bytes.NewReader(request))
	if err != nil {
		return nil, err
	}
	// RoundTrip, unlike a Client, follows no redirection that a guest asks for.
	resp, err := i.transport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, exchange.MaxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		var body excerpt.Writer
		body.Write(answer)
		return nil, fmt.Errorf("status %s, body %q", resp.Status, body.String())
	}
	if len(answer) > exchange.MaxAnswer {
		return nil, fmt.Errorf("the answer has more than %d bytes", exchange.MaxAnswer)
	}
	return answer, nil
}

// Close ends spin and its trigger.
func (i *instance) Close() error {
	if c := i.spare.Swap(nil); c != nil {
		(*c).Close()
	}
	i.transport.CloseIdleConnections()
	return i.process.Close()
}

// broken reports whether err is of a connection that its other end gave up.
func broken(err error) bool {
	for _, sign := range []error{io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.ECONNREFUSED, syscall.EPIPE} {
		if errors.Is(err, sign) {
			return true
		}
	}
	return false
}
