//go:build server

package driver

import (
	"bytes"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"

	"github.com/seed-0132abb7/wasmbench/workload/guests/go/web"
)

var handler Handler

// RegisterWeb names the guest's function, from an init function as Register does.
func RegisterWeb(h Handler) { handler = h }

// Main serves HTTP on the address in the first argument. It is the whole of a
// guest's main function.
func Main() {
	log.SetFlags(0)
	log.SetPrefix("server: ")
	if len(os.Args) != 2 {
		log.Fatal("give the address to listen on as the one argument")
	}
	l, err := net.Listen("tcp", os.Args[1])
	if err != nil {
		log.Fatalf("listening on %s: %v", os.Args[1], err)
	}
	if handler != nil {
		log.Fatal(http.Serve(l, http.HandlerFunc(handleWeb)))
	}
	http.HandleFunc("POST /{$}", handle)
	log.Fatal(http.Serve(l, nil))
}

// A turn is the memory of one request, used again by later ones.
type turn struct {
	request bytes.Buffer
	answer  []byte
}

var turns = sync.Pool{New: func() any { return new(turn) }}

// handle serves a guest that has one function.
func handle(w http.ResponseWriter, r *http.Request) {
	respond(w, r, func(t *turn) (int, string) {
		t.answer = answer(t.answer[:0], t.request.Bytes())
		return http.StatusOK, "application/octet-stream"
	})
}

// handleWeb serves a guest that takes any method and target.
func handleWeb(w http.ResponseWriter, r *http.Request) {
	respond(w, r, func(t *turn) (status int, contentType string) {
		status, contentType, t.answer = handler(t.answer[:0], web.Request{Method: r.Method, Target: r.RequestURI, Body: t.request.Bytes()})
		return status, contentType
	})
}

// respond reads the body of a request and writes the answer that a turn makes.
func respond(w http.ResponseWriter, r *http.Request, make func(*turn) (status int, contentType string)) {
	t := turns.Get().(*turn)
	defer turns.Put(t)
	t.request.Reset()
	if _, err := t.request.ReadFrom(r.Body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	status, contentType := make(t)
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(t.answer)))
	w.WriteHeader(status)
	w.Write(t.answer)
}
