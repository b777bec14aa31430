// Package sqlwire is how a guest without a database of its own asks its host for
// what SQL gives.
//
// A request is a byte that says what to do, then the statement and its arguments.
// An answer is a zero byte and the rows, or a byte that is one and the text of an
// error. A text is its length and its bytes, a number of things comes before them;
// lengths, numbers and integers are variable-length as in encoding/binary.
package sqlwire

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// An Op is what a request asks for.
type Op byte

const (
	// Read runs a statement that changes nothing: within a transaction as part of
	// it, else by itself, on what was committed before.
	Read Op = iota
	// Write runs a statement that may change something, within a transaction as
	// part of it, else as one of its own. What it gives back by RETURNING are rows.
	Write
	// Begin, Commit and Rollback have neither statement nor arguments. There is
	// one transaction at a time in the whole database; to begin is to wait for it.
	Begin
	Commit
	Rollback
	ops // how many there are
)

// What a request has at most.
const (
	MaxRequest = 1 << 20 // bytes
	MaxArgs    = 1000    // arguments
)

// maxColumns is how many columns SQLite can be made to allow.
const maxColumns = 32767

// A Kind is which kind a Value is of.
type Kind byte

const (
	Null Kind = iota
	Int
	Text
	kinds // how many there are
)

// A Value is an argument of a statement or one field of a row. The zero Value is
// NULL.
type Value struct {
	Kind Kind
	Int  int64
	Text string
}

// Scan makes v of what a driver of database/sql gives.
func (v *Value) Scan(from any) error {
	switch x := from.(type) {
	case nil:
		*v = Value{}
	case int64:
		*v = Value{Kind: Int, Int: x}
	case string:
		*v = Value{Kind: Text, Text: x}
	default:
		return fmt.Errorf("a field of type %T is not an integer, a text or null", from)
	}
	return nil
}

// Any returns v as drivers of database/sql take it.
func (v Value) Any() any {
	switch v.Kind {
	case Int:
		return v.Int
	case Text:
		return v.Text
	}
	return nil
}

// A Request is one thing to do.
type Request struct {
	Op   Op
	SQL  string
	Args []Value
}

// Rows are what a statement gives, one row after the other.
type Rows struct {
	Columns int
	Values  []Value
}

// Len returns the number of rows.
func (r Rows) Len() int {
	if r.Columns == 0 {
		return 0
	}
	return len(r.Values) / r.Columns
}

// Row returns the fields of row i.
func (r Rows) Row(i int) []Value { return r.Values[i*r.Columns : (i+1)*r.Columns] }

// An Error is what the host says that did not do what it was asked.
type Error struct{ Text string }

func (e *Error) Error() string { return e.Text }

// ErrMalformed is wrapped by the errors about bytes that are no request or no
// answer.
var ErrMalformed = errors.New("malformed")

// AppendRequest appends a request to dst.
func AppendRequest(dst []byte, q Request) []byte {
	dst = append(dst, byte(q.Op))
	dst = appendText(dst, q.SQL)
	dst = binary.AppendUvarint(dst, uint64(len(q.Args)))
	return appendValues(dst, q.Args)
}

// ParseRequest takes a request apart. It shares no memory with b.
func ParseRequest(b []byte) (q Request, err error) {
	if len(b) > MaxRequest {
		return q, fmt.Errorf("a request of %d bytes, more than %d", len(b), MaxRequest)
	}
	p := parser{rest: b}
	q.Op = Op(p.byte(byte(ops)))
	q.SQL = p.text()
	n := p.uint()
	if n > MaxArgs {
		return q, fmt.Errorf("a request with %d arguments, more than %d: %w", n, MaxArgs, ErrMalformed)
	}
	q.Args = p.values(n)
	return q, p.done("request")
}

// AppendRows appends to dst the answer that gives rows.
func AppendRows(dst []byte, r Rows) []byte {
	dst = append(dst, 0)
	dst = binary.AppendUvarint(dst, uint64(r.Columns))
	dst = binary.AppendUvarint(dst, uint64(r.Len()))
	return appendValues(dst, r.Values)
}

// AppendError appends to dst the answer that tells an error.
func AppendError(dst []byte, err error) []byte {
	return append(append(dst, 1), err.Error()...)
}

// ParseAnswer takes an answer apart. The error is an *Error where the answer tells
// one. The rows share no memory with b.
func ParseAnswer(b []byte) (r Rows, err error) {
	p := parser{rest: b}
	if p.byte(2) == 1 {
		return r, &Error{Text: string(p.rest)}
	}
	columns, rows := p.uint(), p.uint()
	if columns > maxColumns || rows > uint64(len(b)) || columns == 0 && rows > 0 {
		p.bad = true
		return r, p.done("answer")
	}
	r.Columns = int(columns)
	r.Values = p.values(columns * rows)
	return r, p.done("answer")
}

func appendText(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

func appendValues(dst []byte, values []Value) []byte {
	for _, v := range values {
		dst = append(dst, byte(v.Kind))
		switch v.Kind {
		case Int:
			dst = binary.AppendVarint(dst, v.Int)
		case Text:
			dst = appendText(dst, v.Text)
		}
	}
	return dst
}

// A parser takes bytes from the begin of rest. After what is not there it is bad
// and gives nothing more.
type parser struct {
	rest []byte
	bad  bool
}

// byte returns a byte below limit.
func (p *parser) byte(limit byte) byte {
	if p.bad || len(p.rest) == 0 || p.rest[0] >= limit {
		p.bad = true
		return 0
	}
	b := p.rest[0]
	p.rest = p.rest[1:]
	return b
}

func (p *parser) uint() uint64 {
	n, size := binary.Uvarint(p.rest)
	return p.took(n, size)
}

func (p *parser) int() int64 {
	n, size := binary.Varint(p.rest)
	return int64(p.took(uint64(n), size))
}

func (p *parser) took(n uint64, size int) uint64 {
	if p.bad || size <= 0 {
		p.bad = true
		return 0
	}
	p.rest = p.rest[size:]
	return n
}

func (p *parser) text() string {
	n := p.uint()
	if p.bad || n > uint64(len(p.rest)) {
		p.bad = true
		return ""
	}
	s := string(p.rest[:n])
	p.rest = p.rest[n:]
	return s
}

// values returns n values, each of which takes a byte at least.
func (p *parser) values(n uint64) []Value {
	if n > uint64(len(p.rest)) {
		p.bad = true
	}
	if p.bad || n == 0 {
		return nil
	}
	all := make([]Value, n)
	for i := range all {
		v := &all[i]
		switch v.Kind = Kind(p.byte(byte(kinds))); v.Kind {
		case Int:
			v.Int = p.int()
		case Text:
			v.Text = p.text()
		}
	}
	return all
}

func (p *parser) done(what string) error {
	if p.bad || len(p.rest) > 0 {
		return fmt.Errorf("%s: %w", what, ErrMalformed)
	}
	return nil
}
