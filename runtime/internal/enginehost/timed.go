package enginehost

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/seed-0132abb7/wasmbench/runtime"
)

// mostAnswers is how many different answers to one request are remembered.
const mostAnswers = 16

// seen returns a check that remembers in reply what it has not seen before. An
// answer equal to one that was seen is as good as that one; the harness checks
// every distinct answer, and if one is wrong throws the whole batch away.
func seen(reply *Reply) func(answer []byte) error {
	return func(answer []byte) error {
		for _, a := range reply.Answers {
			if bytes.Equal(a, answer) {
				return nil
			}
		}
		if len(reply.Answers) == mostAnswers {
			return fmt.Errorf("more than %d different answers to one request", mostAnswers)
		}
		reply.Answers = append(reply.Answers, bytes.Clone(answer))
		return nil
	}
}

// starts times q.N starts.
func (h *holder) starts(ctx context.Context, q *Query) (reply Reply, err error) {
	check := seen(&reply)
	reply.Timelines = make([]runtime.Timeline, 0, q.N)
	for range q.N {
		if q.First {
			if err := h.unload(ctx); err != nil {
				return reply, err
			}
		}
		t, err := runtime.TimeStart(ctx, h.img, q.Body, check)
		if err != nil {
			return reply, err
		}
		reply.Timelines = append(reply.Timelines, *t)
	}
	return reply, nil
}

// calls times q.N calls of an instance.
func calls(ctx context.Context, inst runtime.Instance, q *Query) (reply Reply, err error) {
	check := seen(&reply)
	reply.Times = make([]time.Duration, 0, q.N)
	for range q.N {
		begin := time.Now()
		answer, err := inst.Call(ctx, q.Body)
		if err == nil {
			err = check(answer)
		}
		if err != nil {
			return reply, err
		}
		reply.Times = append(reply.Times, time.Since(begin))
	}
	return reply, nil
}

// batches times q.N batches of q.Size calls of an instance: a clock that is read
// around each call would be most of what a short one takes.
func batches(ctx context.Context, inst runtime.Instance, q *Query) (reply Reply, err error) {
	check := seen(&reply)
	reply.Times = make([]time.Duration, 0, q.N)
	for range q.N {
		begin := time.Now()
		for range q.Size {
			answer, err := inst.Call(ctx, q.Body)
			if err == nil {
				err = check(answer)
			}
			if err != nil {
				return reply, err
			}
		}
		reply.Times = append(reply.Times, time.Since(begin))
	}
	return reply, nil
}
