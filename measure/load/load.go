// Package load drives HTTP services with requests and measures what comes back.
//
// A [Scenario] makes the requests of any number of users, each with a connection
// of its own, and checks the responses; a [Plan] says at which addresses, by how
// many and for how long. Run does it in this process; a [Generator] does it in
// another one, so that neither the heap nor the scheduler of a harness has a part
// in the latencies.
//
// # Two loops
//
// A closed loop keeps a number of requests under way: each user sends the next
// when one is answered, so a service that stalls is not asked meanwhile, and its
// latencies say how long an answer took and not how long somebody would have
// waited. It is how the throughput of a service is found.
//
// An open loop sends at a given rate, whatever the service does: request n is due
// n/rate seconds after the beginning, from user n modulo the number of users, and
// its latency counts from then on, also where the user was still waiting for an
// answer. A stall of 100 ms at 1000 requests a second is in the latencies of 100
// requests rather than in one. Nothing that was due is dropped: what is late is
// sent late, and waited for after the end. It is how latency is found.
//
// A generator that cannot keep up must not be taken for a slow service:
// Result.Lag and Result.Wait are what it was late by itself, and Result.Achieved how
// much of the rate was answered in time.
//
// # What counts
//
// A request counts in Result.Requests and in the latencies only if its response is
// right: the status and the length of each are checked and of a random sample the
// content. All others, and those without a response, are in Result.Failed with the
// text of what was wrong, and the address where there are several. A connection that
// breaks fails the requests under way on it and is made again, so a service that dies
// is a number of failures and not the end of the run. One that a response says to be
// its last is made again too, and what was pipelined behind it is sent once more, as
// the service has not heeded it. Answers in the warm-up are checked and not counted.
//
// Histograms of several threads are merged, never their percentiles.
//
// # HTTP
//
// Requests are what users make of them, whole messages of HTTP/1.1. Responses may
// have a length, chunks, or end with the connection; heads and bodies are bounded
// (64 KiB, 64 MiB), and what is malformed is a failure and never guessed at. Only
// plain connections are made, without TLS.
package load

import (
	"context"
	"encoding/json"
	"time"
)

// A Scenario says what is asked and what is right.
type Scenario interface {
	// User returns the nth virtual user, from 0. Each has a connection of its own.
	// All are made before the first request, by one goroutine.
	User(n int) User
}

// A User makes the requests of one connection and checks the responses. It is
// used by one goroutine, and what it does is part of the generator's time.
type User interface {
	// Next appends the next request to dst, a whole HTTP/1.1 message with the
	// host given. With pipelining it is called again before Check.
	Next(dst []byte, host string) []byte
	// Check is told the response to the oldest request that has had none, and
	// returns an error where it is not the right one. full asks for the whole
	// content; else the status and the length are enough. The body is valid until
	// it returns. Errors of one kind have one text, so that they are counted
	// together.
	Check(status int, body []byte, full bool) error
	// Failed is told instead that the oldest request had no response: its
	// connection broke, and the next request goes over another.
	Failed()
}

// Events are told as a run goes, by one goroutine that takes no part in the load and
// has no thread or processor of it; nil functions are not called. They are told a
// moment later than what they are about, which was at the time given. A run that fails
// or is cancelled may leave them out.
type Events struct {
	Begin func(at time.Time) // the warm-up is over: what counts begins
	End   func(at time.Time) // what counts has ended; answers may still be waited for
}

// Parameters are what a scenario is made of in another process.
type Parameters = json.RawMessage

// Run runs a scenario in this process. A service that fails is in the result; the
// error is about a plan that makes no sense (a *PlanError), about what this
// process lacks, such as files, or the cause of a context that has ended, with
// which Run returns at once, unless a user of the scenario is taking its time.
//
// It takes as many threads as the plan says, which wait by an epoll instance each
// and are late by tens of microseconds where Go's own timers are by up to a
// millisecond. They are given back as they were.
func Run(ctx context.Context, plan Plan, s Scenario, events Events) (*Result, error) {
	p, err := plan.settle(ctx)
	if err != nil {
		return nil, err
	}
	if e, ok := s.(Exchanges); ok && len(e) == 0 {
		return nil, errNoExchanges
	}
	return newRun(p).do(ctx, s, events)
}
