package load

import (
	"bytes"
	"errors"
	"fmt"
)

const (
	maxHead = 64 << 10 // bytes of a response's head, and of what stands around its chunks
	maxBody = 64 << 20 // bytes of a response's body
	minRead = 8 << 10  // bytes for which there is room at least when a socket is read
)

// A response is one that has come whole. Its body is valid until the reader is
// given more room.
type response struct {
	status int
	body   []byte
	last   bool // the connection ends with it
}

// A reader takes responses apart as they arrive in its buffer.
type reader struct {
	buf      []byte
	from, to int // what of buf has arrived and belongs to no response yet

	// Of the response at from; offsets count from there.
	head     int // bytes of its head; 0 while that is incomplete
	searched int // bytes in which the end of its head, or of a line, is not
	status   int
	last     bool
	framing  framing
	length   int // bytes of the body, of which in chunks those so far
	raw      int // where the next chunk, or the rest of one, begins
	chunk    int // bytes that are left of the chunk; -1 before its size is known
	trailers int // bytes of lines after the last chunk; -1 before that
}

// A framing is how the end of a body is told.
type framing int

const (
	sized   framing = iota // by its length, which may be 0
	chunked                // by its last chunk
	closed                 // by the end of the connection
)

var errHead = fmt.Errorf("malformed response: a head of more than %d bytes", maxHead)

// room returns where the next bytes of the connection belong; arrived is told how
// many have come.
func (r *reader) room() []byte {
	if r.from == r.to {
		r.from, r.to = 0, 0
	}
	if r.head > 0 && r.framing == chunked && r.raw > r.head+r.length {
		// What stood between the chunks that have come is of no use any more.
		end := r.from + r.head + r.length
		r.to = end + copy(r.buf[end:], r.buf[r.from+r.raw:r.to])
		r.searched -= r.raw - (r.head + r.length)
		r.raw = r.head + r.length
	}
	want := r.to + minRead
	if r.head > 0 && r.framing == sized {
		want = max(want, r.from+r.head+r.length)
	}
	if want > len(r.buf) && r.from > 0 {
		r.to = copy(r.buf, r.buf[r.from:r.to])
		want -= r.from
		r.from = 0
	}
	if want > len(r.buf) {
		size := max(want, 2*minRead)
		if r.head == 0 || r.framing != sized {
			size = max(size, 2*len(r.buf)) // nobody knows what is to come
		}
		grown := make([]byte, size)
		r.to = copy(grown, r.buf[r.from:r.to])
		r.from, r.buf = 0, grown
	}
	return r.buf[r.to:]
}

func (r *reader) arrived(n int) { r.to += n }

// pending is how many bytes have come that belong to no response yet.
func (r *reader) pending() int { return r.to - r.from }

// reset forgets everything but the memory.
func (r *reader) reset() { *r = reader{buf: r.buf} }

// next returns the next response if it is there; bodiless says that the request
// was one whose response has none, a HEAD. ended says that nothing more arrives.
func (r *reader) next(bodiless, ended bool) (resp response, ok bool, err error) {
	for r.head == 0 {
		ok, err := r.parseHead(bodiless)
		if err != nil || !ok {
			return response{}, false, r.unless(ended, err)
		}
		if r.status < 200 { // an interim response: another follows
			r.from += r.head
			r.begin()
		}
	}
	switch r.framing {
	case sized:
		ok = r.to-r.from >= r.head+r.length
	case closed:
		r.length = r.to - r.from - r.head
		if r.length > maxBody {
			return response{}, false, errBody
		}
		ok = ended
	case chunked:
		if ok, err = r.dechunk(); err != nil {
			return response{}, false, err
		}
	}
	if !ok {
		return response{}, false, r.unless(ended, nil)
	}
	body := r.buf[r.from+r.head : r.from+r.head+r.length]
	resp = response{status: r.status, body: body, last: r.last}
	if r.framing == chunked {
		r.from += r.raw
	} else {
		r.from += r.head + r.length
	}
	r.begin()
	return resp, true, nil
}

var (
	errBody = fmt.Errorf("malformed response: a body of more than %d bytes", maxBody)
	errCut  = errors.New("the connection ended in the middle of a response")
)

// unless returns err, or what a response is that can never be whole.
func (r *reader) unless(ended bool, err error) error {
	if err == nil && ended && r.pending() > 0 {
		return errCut
	}
	return err
}

// begin makes ready for the head at from.
func (r *reader) begin() { *r = reader{buf: r.buf, from: r.from, to: r.to} }

var endOfHead = []byte("\r\n\r\n")

func (r *reader) parseHead(bodiless bool) (ok bool, err error) {
	b := r.buf[r.from:r.to]
	i := bytes.Index(b[r.searched:], endOfHead)
	if i < 0 {
		if len(b) > maxHead {
			return false, errHead
		}
		r.searched = max(0, len(b)-len(endOfHead)+1)
		return false, nil
	}
	head := b[:r.searched+i+2] // with the end of its last line
	if len(head) > maxHead {
		return false, errHead
	}
	h, err := parseHead(head)
	if err != nil {
		return false, err
	}
	r.head, r.searched = len(head)+2, 0
	r.status, r.last = h.status, h.last
	switch {
	case bodiless || h.status < 200 || h.status == 204 || h.status == 304:
		r.framing, r.length = sized, 0
	case h.chunked:
		r.framing, r.raw, r.chunk, r.trailers = chunked, r.head, -1, -1
	case h.length >= 0:
		r.framing, r.length = sized, h.length
	default:
		r.framing, r.last = closed, true
	}
	return true, nil
}

// dechunk moves the chunks that have come together, from head on.
func (r *reader) dechunk() (ok bool, err error) {
	for {
		b := r.buf[r.from:r.to]
		if r.chunk > 0 {
			n := min(r.chunk, len(b)-r.raw)
			copy(b[r.head+r.length:], b[r.raw:r.raw+n])
			r.length += n
			r.raw += n
			if r.chunk -= n; r.chunk > 0 {
				return false, nil
			}
		}
		if r.chunk == 0 && r.trailers < 0 { // the line feed after its data
			if len(b)-r.raw < 2 {
				return false, nil
			}
			if b[r.raw] != '\r' || b[r.raw+1] != '\n' {
				return false, errors.New("malformed response: a chunk that is longer than its size")
			}
			r.raw += 2
			r.chunk = -1
		}
		from := max(r.raw, r.searched)
		i := bytes.IndexByte(b[from:], '\n')
		if i < 0 {
			r.searched = len(b)
			if len(b)-r.raw > maxHead {
				return false, errHead
			}
			return false, nil
		}
		line := b[r.raw : from+i+1]
		r.raw += len(line)
		r.searched = r.raw
		if len(line) < 2 || line[len(line)-2] != '\r' {
			return false, errors.New("malformed response: a chunk's line that does not end with CR LF")
		}
		line = line[:len(line)-2]
		if r.trailers >= 0 {
			if r.trailers += len(line); r.trailers > maxHead {
				return false, errHead
			}
			if len(line) == 0 {
				return true, nil
			}
			continue
		}
		if len(line) > maxHead {
			return false, errHead
		}
		if r.chunk, err = chunkSize(line); err != nil {
			return false, err
		}
		if r.chunk > maxBody-r.length {
			return false, errBody
		}
		if r.chunk == 0 {
			r.trailers = 0
		}
	}
}

// chunkSize is the hexadecimal number that a chunk's line begins with.
func chunkSize(line []byte) (int, error) {
	digits := line
	if i := bytes.IndexAny(line, "; \t"); i >= 0 {
		digits = line[:i]
	}
	n := 0
	for _, c := range digits {
		d := 0
		switch {
		case '0' <= c && c <= '9':
			d = int(c - '0')
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			d = int(c|0x20-'a') + 10
		default:
			return 0, fmt.Errorf("malformed response: a chunk of size %q", clip(line))
		}
		if n = n<<4 | d; n > maxBody {
			return 0, errBody
		}
	}
	if len(digits) == 0 {
		return 0, errors.New("malformed response: a chunk without a size")
	}
	return n, nil
}

// A head is what of a response's head matters here.
type head struct {
	status  int
	length  int // -1 if it has none
	chunked bool
	last    bool
}

func parseHead(b []byte) (head, error) {
	h := head{length: -1}
	line, b, _ := bytes.Cut(b, []byte("\r\n"))
	// HTTP/1.1 200 and a reason, which may be left out
	if len(line) < 12 || string(line[:7]) != "HTTP/1." || line[7] < '0' || line[7] > '1' || line[8] != ' ' || len(line) > 12 && line[12] != ' ' {
		return h, fmt.Errorf("malformed response: it begins with %q", clip(line))
	}
	for _, c := range line[9:12] {
		if c < '0' || c > '9' {
			return h, fmt.Errorf("malformed response: it begins with %q", clip(line))
		}
		h.status = h.status*10 + int(c-'0')
	}
	if h.status < 100 || h.status == 101 || h.status > 599 {
		return h, fmt.Errorf("malformed response: status %d, which nobody asked for", h.status)
	}
	old := line[7] == '0'
	h.last = old
	for len(b) > 0 {
		i := bytes.IndexByte(b, '\n')
		line := b[:i+1]
		b = b[i+1:]
		if len(line) < 2 || line[len(line)-2] != '\r' {
			return h, errors.New("malformed response: a line that does not end with CR LF")
		}
		line = line[:len(line)-2]
		colon := bytes.IndexByte(line, ':')
		if colon <= 0 || !isToken(line[:colon]) {
			return h, fmt.Errorf("malformed response: a header %q", clip(line))
		}
		name, value := line[:colon], line[colon+1:]
		switch len(name) {
		case len("Content-Length"):
			if bytes.EqualFold(name, []byte("Content-Length")) {
				n, err := contentLength(bytes.Trim(value, " \t"))
				if err != nil {
					return h, err
				}
				if h.length >= 0 && h.length != n {
					return h, errors.New("malformed response: two lengths that differ")
				}
				h.length = n
			}
		case len("Transfer-Encoding"):
			if bytes.EqualFold(name, []byte("Transfer-Encoding")) {
				if !bytes.EqualFold(bytes.Trim(value, " \t"), []byte("chunked")) || h.chunked {
					return h, fmt.Errorf("malformed response: transfer encoding %q, which nobody asked for", clip(value))
				}
				h.chunked = true
			}
		case len("Connection"):
			if bytes.EqualFold(name, []byte("Connection")) {
				for option := range bytes.SplitSeq(value, []byte(",")) {
					option = bytes.Trim(option, " \t")
					h.last = bytes.EqualFold(option, []byte("close")) || h.last && !(old && bytes.EqualFold(option, []byte("keep-alive")))
				}
			}
		}
	}
	if h.chunked && h.length >= 0 {
		return h, errors.New("malformed response: it has both a length and chunks")
	}
	return h, nil
}

func contentLength(digits []byte) (int, error) {
	n := 0
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, fmt.Errorf("malformed response: length %q", clip(digits))
		}
		if n = n*10 + int(c-'0'); n > maxBody {
			return 0, errBody
		}
	}
	if len(digits) == 0 {
		return 0, errors.New("malformed response: an empty length")
	}
	return n, nil
}

// tokens are the bytes that a header's name consists of.
var tokens = func() (t [256]bool) {
	for c := range t {
		t[c] = '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z' || bytes.IndexByte([]byte("!#$%&'*+-.^_`|~"), byte(c)) >= 0
	}
	return t
}()

func isToken(b []byte) bool {
	for _, c := range b {
		if !tokens[c] {
			return false
		}
	}
	return true
}

// clip bounds what of a response an error quotes.
func clip(b []byte) []byte { return b[:min(len(b), 64)] }
