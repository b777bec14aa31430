// Package excerpt keeps the ends of what a process prints, for errors.
package excerpt

import (
	"fmt"
	"strings"
	"sync"
)

// A Writer keeps the first and the last kilobyte of what is
// written: a crash is named at the beginning of its report, a refusal at the
// end.
type Writer struct {
	mu         sync.Mutex
	head, tail []byte
	dropped    int
}

// kept is how much of either end is kept, in bytes.
const kept = 1 << 10

// Write never fails.
func (w *Writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := min(len(p), kept-len(w.head))
	w.head = append(w.head, p[:n]...)
	w.tail = append(w.tail, p[n:]...)
	if over := len(w.tail) - kept; over > 0 {
		w.dropped += over
		w.tail = append(w.tail[:0], w.tail[over:]...)
	}
	return len(p), nil
}

// String returns what is kept, without surrounding white space.
func (w *Writer) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := string(w.head)
	if w.dropped > 0 {
		s += fmt.Sprintf(" ... %d bytes ... ", w.dropped)
	}
	return strings.TrimSpace(s + string(w.tail))
}
