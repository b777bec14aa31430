package measure

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
)

// A span is a range of addresses, of whole pages.
type span struct{ start, end uintptr }

// pagemap tells which pages of a process are in memory.
type pagemap struct{ file *os.File }

func openPagemap(pid int) (*pagemap, error) {
	f, err := os.Open(procPath(pid, "pagemap"))
	if err != nil {
		return nil, err
	}
	return &pagemap{f}, nil
}

func (p *pagemap) Close() error { return p.file.Close() }

// share returns the part of a mapping's PSS that lies in the spans, which are in
// order and do not overlap: that of its resident pages. Only as much of a mapping
// is looked at as is needed, for it may be of a terabyte.
func (p *pagemap) share(ctx context.Context, m *mapping, spans []span) (int64, error) {
	var inside, outside []span
	var size uintptr
	at := m.start
	for _, s := range spans {
		s = span{max(s.start, m.start), min(s.end, m.end)}
		if s.start >= s.end {
			continue
		}
		inside = append(inside, s)
		size += s.end - s.start
		if at < s.start {
			outside = append(outside, span{at, s.start})
		}
		at = s.end
	}
	if at < m.end {
		outside = append(outside, span{at, m.end})
	}
	less, complement := inside, size > (m.end-m.start)/2
	if complement {
		less = outside
	}
	resident, err := p.resident(ctx, less, m.anonymous())
	if err != nil || m.rss == 0 {
		return 0, err
	}
	if complement {
		resident = m.rss - resident
	}
	share := float64(resident) / float64(m.rss)
	return int64(float64(m.pss) * min(max(share, 0), 1)), nil
}

// What an entry of pagemap says of a page.
const (
	pagePresent   = 1 << 63
	pageExclusive = 1 << 56 // mapped once; never set for the page of zeroes, which RSS and PSS leave out
)

// resident returns how many bytes of the spans are in memory.
func (p *pagemap) resident(ctx context.Context, spans []span, anonymous bool) (int64, error) {
	const entry = 8
	page := uintptr(os.Getpagesize())
	wanted := uint64(pagePresent)
	if anonymous {
		wanted |= pageExclusive
	}
	var bytes int64
	var buf [8192 * entry]byte
	for _, s := range spans {
		for at := s.start; at < s.end; {
			if ctx.Err() != nil {
				return 0, context.Cause(ctx)
			}
			entries := buf[:entry*min((s.end-at)/page, uintptr(len(buf)/entry))]
			if n, err := p.file.ReadAt(entries, int64(at/page*entry)); err == io.EOF {
				return 0, fmt.Errorf("reading %s: %d bytes of %d: %w", p.file.Name(), n, len(entries), io.ErrUnexpectedEOF)
			} else if err != nil {
				return 0, err
			}
			for ; len(entries) > 0; entries, at = entries[entry:], at+page {
				if binary.NativeEndian.Uint64(entries)&wanted == wanted {
					bytes += int64(page)
				}
			}
		}
	}
	return bytes, nil
}
