package load

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/seed-0132abb7/wasmbench/workload"
)

// Exchanges is the scenario of requests whose right responses are known and do not
// depend on each other. Each user makes all of them in turn, from a place of its
// own on. There must be one at least.
type Exchanges []workload.Exchange

var errNoExchanges = errors.New("load: there are no exchanges to make")

// ParseExchanges is the Maker of Exchanges, of a list of them as JSON.
func ParseExchanges(p Parameters) (Scenario, error) {
	var e Exchanges
	if err := json.Unmarshal(p, &e); err != nil {
		return nil, err
	}
	if len(e) == 0 {
		return nil, errNoExchanges
	}
	return e, nil
}

// User implements Scenario.
func (e Exchanges) User(n int) User {
	// Multiples of the golden ratio spread any number of users.
	_, place := math.Modf(float64(n) * math.Phi)
	first := int(place * float64(len(e)))
	return &exchanger{all: e, asked: first, answered: first}
}

type exchanger struct {
	all             []workload.Exchange
	asked, answered int // the next to be asked, to be answered
}

func (u *exchanger) Next(dst []byte, host string) []byte {
	x := &u.all[u.asked]
	u.asked = u.after(u.asked)
	return AppendRequest(dst, x.Method, x.Target, host, x.Body)
}

func (u *exchanger) Check(status int, body []byte, full bool) error {
	x := &u.all[u.answered]
	u.answered = u.after(u.answered)
	want := x.Answer
	if x.Method == "HEAD" {
		want = nil
	}
	switch {
	case status != x.Status:
		return fmt.Errorf("status %d, want %d: %.100q", status, x.Status, body)
	case len(body) != len(want):
		return fmt.Errorf("a body of %d bytes, want %d: %.100q", len(body), len(want), body)
	case full && !bytes.Equal(body, want):
		return fmt.Errorf("wrong body %.100q, want %.100q", body, want)
	}
	return nil
}

func (u *exchanger) Failed() { u.answered = u.after(u.answered) }

func (u *exchanger) after(i int) int {
	if i++; i < len(u.all) {
		return i
	}
	return 0
}

// AppendRequest appends a request of HTTP/1.1 with the body given to dst. The
// length of the body is told where there is one, and by methods that have one
// usually.
func AppendRequest(dst []byte, method, target, host string, body []byte) []byte {
	dst = append(dst, method...)
	dst = append(dst, ' ')
	dst = append(dst, target...)
	dst = append(dst, " HTTP/1.1\r\nHost: "...)
	dst = append(dst, host...)
	if len(body) > 0 || method == "POST" || method == "PUT" || method == "PATCH" {
		dst = append(dst, "\r\nContent-Length: "...)
		dst = strconv.AppendInt(dst, int64(len(body)), 10)
	}
	dst = append(dst, "\r\n\r\n"...)
	return append(dst, body...)
}
