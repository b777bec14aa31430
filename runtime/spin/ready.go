package spin

import (
	"bytes"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// An announcement is what spin says once it listens.
type announcement struct {
	address string
	at      time.Time
	err     error
}

// longestLine is how much of a line is looked at, in bytes.
const longestLine = 4 << 10

// A listener reads spin's standard output for the announcement, which it sends
// once, and passes everything on to a log.
type listener struct {
	log  io.Writer
	said chan<- announcement // has room for one
	line []byte
	done bool
}

// Write never fails, so that spin never blocks on a full pipe.
func (l *listener) Write(p []byte) (int, error) {
	now := time.Now()
	l.log.Write(p)
	for rest := p; !l.done && len(rest) > 0; {
		part, after, whole := bytes.Cut(rest, []byte("\n"))
		l.line = append(l.line, part[:min(len(part), longestLine-len(l.line))]...)
		rest = after
		if !whole {
			break
		}
		address, ok, err := parseServing(string(l.line))
		if ok {
			l.said <- announcement{address, now, err}
			l.done = true
		}
		l.line = l.line[:0]
	}
	return len(p), nil
}

// colours are what Spin may set words off with.
var colours = regexp.MustCompile("\x1b\\[[0-9;]*m")

// parseServing takes the address out of "Serving http://127.0.0.1:3000". ok
// tells whether the line is of that kind.
func parseServing(line string) (address string, ok bool, err error) {
	line = strings.TrimSpace(colours.ReplaceAllString(line, ""))
	base, ok := strings.CutPrefix(line, "Serving ")
	if !ok {
		return "", false, nil
	}
	u, err := url.Parse(strings.TrimSpace(base))
	if err != nil {
		return "", true, fmt.Errorf("its announcement %q names no address: %w", line, err)
	}
	at, err := netip.ParseAddrPort(u.Host)
	switch {
	case u.Scheme != "http" || err != nil:
		return "", true, fmt.Errorf("its announcement %q names no address of HTTP", line)
	case at.Port() == 0:
		return "", true, fmt.Errorf("its announcement %q does not tell the port, as in Spin up to 2.4: install a later one", line)
	}
	return at.String(), true, nil
}
