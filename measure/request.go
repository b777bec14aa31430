package measure

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	goruntime "runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-0132abb7/wasmbench/internal/osthread"
	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// FirstRequests starts n services of img one after the other, each from before
// ServerImage.Serve to the first response that has been checked, and closes each
// before the next starts. The phase Ready ends when the service takes the
// connection. It returns a timeline for each, or the first error.
//
// The request is the first exchange of a workload.Web, else a POST of the
// workload's to /, answered with status 200. A runtime.Networked service is asked
// from its network, into which a thread of this process goes and out again.
//
// Nobody tells when a service listens: it is tried from this process. The pause
// between two tries is a fiftieth of the time that has passed, between 50 µs
// and 1 ms, so that the tries take little from the service. A service is heard
// up to a pause and a try late, the latter some 50 µs: on average one in a
// hundred later where a start takes 10 ms, five in a hundred at 1 ms.
//
// The port is chosen outside the clock. opts.First is taken as set: what the
// image keeps in memory is forgotten before each.
func FirstRequests(ctx context.Context, img runtime.ServerImage, w workload.Workload, n int, opts StartOptions) ([]runtime.Timeline, error) {
	opts.First = true
	all := make([]runtime.Timeline, 0, n)
	err := sample(ctx, n, opts.Budget, opts.Limit, func(ctx context.Context, reset func(int)) error {
		if err := between(ctx, img, opts); err != nil {
			return err
		}
		address, err := runtime.FreeAddress()
		if err != nil {
			return err
		}
		reset(1)
		t, err := firstRequest(ctx, img, address, w)
		if err == nil {
			all = append(all, *t)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("after %d of %d first requests: %w", len(all), n, err)
	}
	return all, nil
}

func firstRequest(ctx context.Context, img runtime.ServerImage, address string, w workload.Workload) (*runtime.Timeline, error) {
	svc, t, err := answering(ctx, img, address, w)
	if err != nil {
		return nil, err
	}
	cerr := svc.Close()
	t.Mark(runtime.Stop, time.Now())
	if cerr != nil {
		return nil, fmt.Errorf("closing the service: %w", cerr)
	}
	return t, nil
}

// FirstResponse starts one service as FirstRequests does and returns it when it
// has answered. On error there is no service left.
func FirstResponse(ctx context.Context, img runtime.ServerImage, w workload.Workload) (runtime.Service, *runtime.Timeline, error) {
	address, err := runtime.FreeAddress()
	if err != nil {
		return nil, nil, err
	}
	return answering(ctx, img, address, w)
}

// answering starts a service and waits until it has answered.
func answering(ctx context.Context, img runtime.ServerImage, address string, w workload.Workload) (runtime.Service, *runtime.Timeline, error) {
	asked := exchangeOf(w)
	begin := time.Now()
	t := runtime.NewTimeline(begin)
	svc, err := img.Serve(ctx, address, t.Mark)
	if err != nil {
		return nil, nil, err
	}
	err = osthread.InNetwork(network(svc), func() error {
		defer punctual()()
		err := firstResponse(ctx, svc, asked, begin, t)
		t.Mark(runtime.Served, time.Now())
		return err
	})
	if err != nil {
		err = svc.Explain(fmt.Errorf("first request to %s: %w", svc.Address(), err))
		return nil, nil, errors.Join(err, svc.Close())
	}
	return svc, t, nil
}

const (
	shortestPause = 50 * time.Microsecond
	longestPause  = time.Millisecond
)

var errAnotherAnswers = errors.New("the service has ended, and another program answers in its place")

// punctual lets the pauses of this goroutine end on time, which the kernel
// lengthens by 50 µs to wake several sleepers at once, until restore is called.
func punctual() (restore func()) {
	goruntime.LockOSThread()
	unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	return func() {
		unix.Prctl(unix.PR_SET_TIMERSLACK, 0, 0, 0, 0) // the default
		goruntime.UnlockOSThread()
	}
}

// network returns the path of the namespace from which a service is reached, ""
// for the harness's own.
func network(svc runtime.Service) string {
	if n, ok := svc.(runtime.Networked); ok {
		return n.Network()
	}
	return ""
}

// firstResponse tries until a response has been checked. What a service does
// that is not up yet is no error: to refuse or drop the connection, or to
// answer that it is unavailable.
func firstResponse(ctx context.Context, svc runtime.Service, asked firstExchange, begin time.Time, t *runtime.Timeline) error {
	var last error
	for {
		err := tryRequest(ctx, svc.Address(), asked, t)
		switch cause := context.Cause(ctx); {
		case err == nil:
			select {
			case <-svc.Ended():
				return errAnotherAnswers
			default:
				return nil
			}
		case cause != nil && last != nil:
			return fmt.Errorf("%w; the try before: %w", cause, last)
		case cause != nil:
			return fmt.Errorf("%w: %w", cause, err)
		case !errors.As(err, new(*notYet)):
			return err
		}
		last = err
		select {
		case <-svc.Ended():
			return fmt.Errorf("%w before it answered: %w", ErrServiceEnded, err)
		default:
		}
		// A timer of less than a millisecond would take a whole one.
		pause := unix.NsecToTimespec(int64(min(max(time.Since(begin)/50, shortestPause), longestPause)))
		unix.Nanosleep(&pause, nil)
	}
}

// notYet is what an attempt came to that is worth another.
type notYet struct{ error }

func (n *notYet) Unwrap() error { return n.error }

func tryRequest(ctx context.Context, address string, asked firstExchange, t *runtime.Timeline) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return later(err)
	}
	defer conn.Close()
	t.Mark(runtime.Ready, time.Now())
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	request, err := http.NewRequest(asked.Method, "http://"+address+asked.Target, bytes.NewReader(asked.Body))
	if err != nil {
		return err
	}
	request.Close = true
	if err := request.Write(conn); err != nil {
		return later(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), request)
	if err != nil {
		return later(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, largestBody))
	if err != nil {
		return later(err)
	}
	switch response.StatusCode {
	case asked.Status:
		return asked.check(body)
	case http.StatusServiceUnavailable:
		return &notYet{statusError(response, asked.Status, body)}
	}
	return statusError(response, asked.Status, body)
}

// A firstExchange is what a service is asked first.
type firstExchange struct {
	workload.Exchange
	check func(body []byte) error
}

func exchangeOf(w workload.Workload) firstExchange {
	if web, ok := w.(workload.Web); ok {
		if all := web.Exchanges(); len(all) > 0 {
			return firstExchange{all[0], func(body []byte) error {
				if !bytes.Equal(body, all[0].Answer) {
					return &workload.WrongAnswer{Workload: w.Name(), Got: body, Want: all[0].Answer}
				}
				return nil
			}}
		}
	}
	post := workload.Exchange{Method: http.MethodPost, Target: "/", Body: w.Request(), Status: http.StatusOK}
	return firstExchange{post, w.Check}
}

// largestBody is how much of a response is read, in bytes.
const largestBody = 64 << 20

func statusError(response *http.Response, want int, body []byte) error {
	const most = 200
	return fmt.Errorf("status %s where %d was expected, body %.*q", response.Status, want, most, body)
}

// later makes of an error of the connection one that is worth another try.
func later(err error) error {
	for _, passing := range []error{syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.EPIPE, io.EOF, io.ErrUnexpectedEOF} {
		if errors.Is(err, passing) {
			return &notYet{err}
		}
	}
	return err
}
