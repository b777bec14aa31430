//go:build !server

package driver

import (
	"slices"
	"sync/atomic"

	"github.com/seed-0132abb7/wasmbench/workload/guests/go/web"
)

// RegisterWeb names the guest's function, from an init function as Register does.
// Requests and responses are told to it as package web describes.
func RegisterWeb(h Handler) {
	// The head of a response is known only when its body is there. It is mostly
	// as long as the last one, and then the body need not be moved. That of files,
	// the largest bodies, is as long at the first request of an instance too.
	var last atomic.Int32
	last.Store(int32(len("200 application/octet-stream\n")))
	answer = func(dst, request []byte) []byte {
		r, err := web.ParseRequest(request)
		if err != nil {
			return append(web.AppendHead(dst, 400, "text/plain"), err.Error()...)
		}
		begin := len(dst)
		body := begin + int(last.Load())
		status, contentType, all := h(slices.Grow(dst, body-begin)[:body], r)
		head := web.AppendHead(make([]byte, 0, 64), status, contentType)
		last.Store(int32(len(head)))
		return slices.Replace(all, begin, body, head...)
	}
}
