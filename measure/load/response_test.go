package load

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// feed gives a reader pieces of what a connection brought and returns the
// responses.
func (r *reader) feed(pieces [][]byte, ended bool) (all []response, err error) {
	more := func(last bool) error {
		for {
			resp, ok, err := r.next(false, last)
			if err != nil || !ok {
				return err
			}
			resp.body = bytes.Clone(resp.body)
			all = append(all, resp)
		}
	}
	for _, p := range pieces {
		for len(p) > 0 {
			n := copy(r.room(), p)
			r.arrived(n)
			p = p[n:]
			if err := more(false); err != nil {
				return all, err
			}
		}
	}
	if ended {
		err = more(true)
	}
	return all, err
}

var wellFormed = []struct {
	name, text string
	status     int
	body       string
	last       bool
}{
	{"length", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello", false},
	{"no reason", "HTTP/1.1 200\r\ncontent-length:5\r\n\r\nhello", 200, "hello", false},
	{"empty reason", "HTTP/1.1 404 \r\nContent-Length: 0 \r\n\r\n", 404, "", false},
	{"empty body", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, "", false},
	{"no content", "HTTP/1.1 204 No Content\r\nDate: now\r\n\r\n", 204, "", false},
	{"not modified", "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", 304, "", false},
	{"the same length twice", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nhi", 200, "hi", false},
	{"close", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi", 200, "hi", true},
	{"close among others", "HTTP/1.1 200 OK\r\nConnection: foo , Close\r\nContent-Length: 2\r\n\r\nhi", 200, "hi", true},
	{"old", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", 200, "hi", true},
	{"old, kept", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi", 200, "hi", false},
	{"one chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 200, "hello", false},
	{"chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n1\r\nh\r\n3;a=b\r\nell\r\n01\r\no\r\n000\r\n\r\n", 200, "hello", false},
	{"hexadecimal chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1A \r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\n\r\n", 200, "abcdefghijklmnopqrstuvwxyz", false},
	{"no chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 200, "", false},
	{"trailers", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nDigest: x\r\nOther: y\r\n\r\n", 200, "hi", false},
	{"interim", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", 200, "hi", false},
}

// Each is read alike wherever the network cuts it, alone and before others.
func TestResponsesCutAnywhere(t *testing.T) {
	for _, tt := range wellFormed {
		t.Run(tt.name, func(t *testing.T) {
			check := func(where string, got []response, err error, count int) {
				t.Helper()
				if err != nil || len(got) != count {
					t.Fatalf("%s: %d responses, error %v", where, len(got), err)
				}
				for _, r := range got {
					if r.status != tt.status || string(r.body) != tt.body || r.last != tt.last {
						t.Fatalf("%s: %d %q, last %t", where, r.status, r.body, r.last)
					}
				}
			}
			twice := []byte(tt.text + tt.text)
			for i := range twice {
				var r reader
				got, err := r.feed([][]byte{twice[:i], twice[i:]}, false)
				check("in two", got, err, 2)
				if r.pending() != 0 {
					t.Fatalf("%d bytes are left", r.pending())
				}
			}
			var r reader
			got, err := r.feed(slices.Collect(slices.Chunk(twice, 1)), true)
			check("byte by byte", got, err, 2)
			for i := 1; i < len(tt.text); i++ {
				var r reader
				if got, err := r.feed([][]byte{[]byte(tt.text[:i])}, true); len(got) != 0 || err != errCut && (err != nil || r.pending() > 0) {
					t.Fatalf("cut after %d bytes: %d responses, error %v", i, len(got), err)
				}
			}
		})
	}
}

// The standard library reads the same.
func TestResponsesAsNetHTTP(t *testing.T) {
	for _, tt := range wellFormed {
		if strings.HasPrefix(tt.text, "HTTP/1.1 1") {
			continue // the caller's there
		}
		r, err := http.ReadResponse(bufio.NewReader(strings.NewReader(tt.text)), nil)
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		body, err := io.ReadAll(r.Body)
		if err != nil || r.StatusCode != tt.status || string(body) != tt.body || r.Close != tt.last {
			t.Errorf("%s: %d %q, last %t, error %v", tt.name, r.StatusCode, body, r.Close, err)
		}
	}
}

func TestResponseUntilTheEnd(t *testing.T) {
	var r reader
	text := []byte("HTTP/1.1 200 OK\r\nServer: old\r\n\r\n" + strings.Repeat("x", 100_000))
	if got, err := r.feed([][]byte{text}, false); err != nil || len(got) != 0 {
		t.Fatalf("before the end: %d responses, error %v", len(got), err)
	}
	got, ok, err := r.next(false, true)
	if err != nil || !ok || len(got.body) != 100_000 || !got.last {
		t.Errorf("%d bytes, last %t, ok %t, error %v", len(got.body), got.last, ok, err)
	}
}

func TestResponseToHead(t *testing.T) {
	var r reader
	r.arrived(copy(r.room(), "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"))
	got, ok, err := r.next(true, false)
	if err != nil || !ok || len(got.body) != 0 || r.pending() != 0 {
		t.Errorf("%d bytes, ok %t, error %v", len(got.body), ok, err)
	}
}

func TestMalformedResponses(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n"
	chunks := ok + "Transfer-Encoding: chunked\r\n\r\n"
	long := strings.Repeat("x", 2*maxHead)
	tests := []struct{ name, text, says string }{
		{"another protocol", "SSH-2.0-OpenSSH\r\n\r\n", `begins with "SSH-2.0-OpenSSH"`},
		{"another version", "HTTP/2.0 200 OK\r\n\r\n", "begins with"},
		{"no status", "HTTP/1.1 OK 200\r\n\r\n", "begins with"},
		{"a long status", "HTTP/1.1 2000 OK\r\n\r\n", "begins with"},
		{"status 42", "HTTP/1.1 042 OK\r\n\r\n", "status 42"},
		{"status 999", "HTTP/1.1 999 OK\r\n\r\n", "status 999"},
		{"another protocol from here on", "HTTP/1.1 101 Switching Protocols\r\n\r\n", "status 101"},
		{"a header without a name", ok + ": x\r\n\r\n", "a header"},
		{"no header", ok + "what\r\n\r\n", "a header"},
		{"a folded header", ok + "A: b\r\n c: d\r\n\r\n", "a header"},
		{"a space before the colon", ok + "Content-Length : 3\r\n\r\nabc", "a header"},
		{"a line feed alone", ok + "A: b\nContent-Length: 3\r\n\r\nabc", "CR LF"},
		{"a negative length", ok + "Content-Length: -1\r\n\r\n", `length "-1"`},
		{"a signed length", ok + "Content-Length: +1\r\n\r\n", `length "+1"`},
		{"no length", ok + "Content-Length: \r\n\r\n", "empty length"},
		{"a huge length", ok + "Content-Length: 99999999999999999999999\r\n\r\n", "a body of more than"},
		{"two lengths", ok + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", "two lengths"},
		{"length and chunks", ok + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "both a length and chunks"},
		{"compressed", ok + "Transfer-Encoding: gzip, chunked\r\n\r\n", "transfer encoding"},
		{"chunked twice", ok + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", "transfer encoding"},
		{"a chunk of no size", chunks + "\r\n\r\n", "without a size"},
		{"a chunk of another size", chunks + "xyz\r\n", "a chunk of size"},
		{"a chunk of a negative size", chunks + "-1\r\n", "a chunk of size"},
		{"a huge chunk", chunks + "fffffffffffffffff\r\n", "a body of more than"},
		{"chunks that are huge together", chunks + "1\r\nx\r\n4000000\r\n", "a body of more than"},
		{"a chunk that is longer than it says", chunks + "2\r\nabc\r\n", "longer than its size"},
		{"a chunk's line without CR", chunks + "2\nab\r\n", "CR LF"},
		{"an endless line of a head", ok + "A: " + long, "a head of more than"},
		{"an endless head", ok + strings.Repeat("A: b\r\n", maxHead), "a head of more than"},
		{"an endless line of a chunk", chunks + "1;" + long, "a head of more than"},
		{"endless trailers", chunks + "0\r\n" + strings.Repeat("A: b\r\n", maxHead), "a head of more than"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, size := range []int{1, 1000, len(tt.text)} {
				var r reader
				got, err := r.feed(slices.Collect(slices.Chunk([]byte(tt.text), size)), false)
				if err == nil || len(got) != 0 || !strings.Contains(err.Error(), tt.says) {
					t.Fatalf("by %d bytes: %d responses, error %v", size, len(got), err)
				}
				if len(r.buf) > 8*maxHead {
					t.Errorf("a buffer of %d bytes", len(r.buf))
				}
			}
		})
	}
}

// A body of many chunks takes memory by its own size and not by that of what
// stands between them, and none is made before it has arrived.
func TestMemoryOfChunks(t *testing.T) {
	var r reader
	const n = 200_000
	text := "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat("1;a=bcdefghijklmnopqrstuvw\r\nx\r\n", n) + "0\r\n\r\n"
	got, err := r.feed(slices.Collect(slices.Chunk([]byte(text), 1<<10)), false)
	if err != nil || len(got) != 1 || string(got[0].body) != strings.Repeat("x", n) {
		t.Fatalf("%d responses, error %v", len(got), err)
	}
	if len(r.buf) > 4*n {
		t.Errorf("a buffer of %d bytes for a body of %d", len(r.buf), n)
	}
}

func FuzzReader(f *testing.F) {
	for _, tt := range wellFormed {
		f.Add([]byte(tt.text), 3)
	}
	f.Fuzz(func(t *testing.T, text []byte, size int) {
		size = max(1, size)
		var whole, parts reader
		a, aerr := whole.feed([][]byte{text}, true)
		b, berr := parts.feed(slices.Collect(slices.Chunk(text, size)), true)
		same := slices.EqualFunc(a, b, func(x, y response) bool {
			return x.status == y.status && x.last == y.last && bytes.Equal(x.body, y.body)
		})
		if !same || (aerr == nil) != (berr == nil) {
			t.Fatalf("at once: %v, %v\nby %d bytes: %v, %v", a, aerr, size, b, berr)
		}
	})
}
