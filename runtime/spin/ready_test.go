package spin

import (
	"bytes"
	"strings"
	"testing"
)

func TestParseServing(t *testing.T) {
	tests := []struct {
		line, address string
		ok, wrong     bool
	}{
		{line: "Serving http://127.0.0.1:3000", address: "127.0.0.1:3000", ok: true},
		{line: "  \x1b[0m\x1b[1m\x1b[32mServing\x1b[0m http://127.0.0.1:41234\r", address: "127.0.0.1:41234", ok: true},
		{line: "Serving http://[::1]:3000", address: "[::1]:3000", ok: true},
		{line: ""},
		{line: "Available Routes:"},
		{line: "  guest: http://127.0.0.1:3000"},
		{line: "Preserving http://127.0.0.1:3000"},
		{line: "Serving http://127.0.0.1:0", ok: true, wrong: true},
		{line: "Serving http://127.0.0.1", ok: true, wrong: true},
		{line: "Serving https://127.0.0.1:3000", ok: true, wrong: true},
		{line: "Serving http://127.0.0.1:70000", ok: true, wrong: true},
		{line: "Serving http://[::1:3000", ok: true, wrong: true},
		{line: "Serving \x7f", ok: true, wrong: true},
	}
	for _, tt := range tests {
		address, ok, err := parseServing(tt.line)
		if address != tt.address || ok != tt.ok || (err != nil) != tt.wrong {
			t.Errorf("%q: address %q, ok %t, error %v", tt.line, address, ok, err)
		}
	}
}

// The announcement is found in whatever pieces it comes, once, and all is
// logged.
func TestListener(t *testing.T) {
	const said = "Serving nothing yet\r"
	out := strings.Repeat("x", 3*longestLine) + "\n\nServing http://127.0.0.1:3000\nServing http://127.0.0.1:4000\n" + said
	for _, size := range []int{1, 7, longestLine, len(out)} {
		var log bytes.Buffer
		found := make(chan announcement, 1)
		l := &listener{log: &log, said: found}
		for rest := []byte(out); len(rest) > 0; {
			n, err := l.Write(rest[:min(size, len(rest))])
			if err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if a := <-found; a.address != "127.0.0.1:3000" || a.err != nil || len(found) > 0 {
			t.Errorf("in pieces of %d: %+v", size, a)
		}
		if log.String() != out {
			t.Errorf("in pieces of %d: %d bytes are logged of %d", size, log.Len(), len(out))
		}
	}
}
