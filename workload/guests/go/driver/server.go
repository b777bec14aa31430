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
)

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
	http.HandleFunc("POST /{$}", handle)
	log.Fatal(http.Serve(l, nil))
}

// A turn is the memory of one request, used again by later ones.
type turn struct {
	request bytes.Buffer
	answer  []byte
}

var turns = sync.Pool{New: func() any { return new(turn) }}

func handle(w http.ResponseWriter, r *http.Request) {
	t := turns.Get().(*turn)
	defer turns.Put(t)
	t.request.Reset()
	if _, err := t.request.ReadFrom(r.Body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	t.answer = answer(t.answer[:0], t.request.Bytes())
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Length", strconv.Itoa(len(t.answer)))
	w.Write(t.answer)
}
