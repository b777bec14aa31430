// Package web is how an HTTP request and its response are told to a guest that
// is called with bytes and answers with bytes.
//
// A request is its method, a space, its target and a line feed, then the body. A
// response is its status as three digits, a space, its content type and a line
// feed, then the body.
package web

import (
	"bytes"
	"errors"
	"strconv"
)

// ErrMalformed is wrapped by the errors about bytes that are no request or no
// response.
var ErrMalformed = errors.New("malformed")

// A malformed error says what is. Package fmt would be larger than the least of the
// guests.
type malformed string

func (m malformed) Error() string { return string(m) }

func (m malformed) Unwrap() error { return ErrMalformed }

// A Request is what a client asks. Its fields may share memory with what it was
// parsed from.
type Request struct {
	Method string
	Target string // path and query
	Body   []byte
}

// Append appends the request to dst.
func (r Request) Append(dst []byte) []byte {
	dst = append(dst, r.Method...)
	dst = append(dst, ' ')
	dst = append(dst, r.Target...)
	dst = append(dst, '\n')
	return append(dst, r.Body...)
}

// ParseRequest takes a request apart.
func ParseRequest(b []byte) (Request, error) {
	head, body, ok := bytes.Cut(b, []byte("\n"))
	method, target, _ := bytes.Cut(head, []byte(" "))
	if !ok || len(method) == 0 || len(target) == 0 {
		return Request{}, malformed("a malformed request: its first line is no method and target")
	}
	return Request{Method: string(method), Target: string(target), Body: body}, nil
}

// A Response is what a guest answers.
type Response struct {
	Status      int
	ContentType string
	Body        []byte
}

// AppendHead appends to dst what stands before the body of a response.
func AppendHead(dst []byte, status int, contentType string) []byte {
	dst = strconv.AppendInt(dst, int64(status), 10)
	dst = append(dst, ' ')
	dst = append(dst, contentType...)
	return append(dst, '\n')
}

// ParseResponse takes a response apart. Its body is part of b.
func ParseResponse(b []byte) (Response, error) {
	head, body, ok := bytes.Cut(b, []byte("\n"))
	digits, contentType, both := bytes.Cut(head, []byte(" "))
	status, err := strconv.ParseUint(string(digits), 10, 16)
	if !ok || !both || err != nil || len(digits) != 3 || status < 100 {
		return Response{}, malformed("a malformed response: its first line is no status and content type")
	}
	return Response{Status: int(status), ContentType: string(contentType), Body: body}, nil
}
