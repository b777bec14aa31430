package enginehost

import (
	"errors"
	"fmt"

	"github.com/seed-0132abb7/wasmbench/runtime/internal/exchange"
)

// StoreModule is the module of the functions by which a guest reaches the database
// of its host, which package runtime describes.
const (
	StoreModule   = "wasmbench"
	StoreSQL      = "sql"
	StoreSQLAgain = "sql_again"
)

// A Store is a database that guests reach through their host. Its methods may be
// called from several goroutines, Close when all sessions are closed.
type Store interface {
	// Open opens it. It is called once, before there is a guest and before the other
	// methods: what a guest does to the files of the host cannot change what is opened.
	Open() error
	// Session returns what one instance is served by. It is called when the
	// instance first asks; an error ends the instance.
	Session() (Session, error)
	Close() error
}

// A Session does what one instance asks, one request after the other.
type Session interface {
	// Do appends the answer to request to dst. What fails is told in the answer.
	Do(dst, request []byte) []byte
	// Rest undoes what the instance has begun and not finished, and tells whether
	// there was something. The session goes on.
	Rest() (open bool, err error)
	// Close undoes what the instance has begun and not finished.
	Close() error
}

// ErrNoStore is wrapped by the errors about a module that asks for the database
// of a host that has none.
var ErrNoStore = errors.New("this host has no database")

// ErrTransactionOpen is a guest that answers in the midst of a transaction, which
// has been rolled back: what it did there was not done.
var ErrTransactionOpen = errors.New("the guest answered with a transaction open")

// CheckImport returns an error if store is nil and a module imports what only a
// host with one has. An engine calls it with each import, before it looks for
// what that names.
func CheckImport(store Store, module, name string) error {
	if store != nil || module != StoreModule {
		return nil
	}
	return fmt.Errorf("the module imports %s.%s, and %w: let its workload be Stored and Mounted, as package workload describes, or build it without the import", module, name, ErrNoStore)
}

// A Memory is that of a guest while it waits for its host. Read returns size
// bytes of it from an address on, to read and to write, and false where they are
// not all within it.
type Memory interface {
	Read(address, size uint32) ([]byte, bool)
}

// A Client is the store as one instance has it: the functions of StoreModule.
// Their errors are traps. It is for one goroutine at a time.
type Client struct {
	store   Store
	session Session // nil before the first request
	answer  []byte  // the last one
}

// NewClient returns what an instance reaches the store by; with no store, nil.
func NewClient(store Store) *Client {
	if store == nil {
		return nil
	}
	return &Client{store: store}
}

// SQL is the function StoreSQL.
func (c *Client) SQL(m Memory, request, size, answer, capacity uint32) (length uint32, err error) {
	defer recovered(&err)
	asked, ok := m.Read(request, size)
	if !ok {
		return 0, outside(StoreSQL, "request", request, size)
	}
	room, ok := m.Read(answer, capacity)
	if !ok {
		return 0, outside(StoreSQL, "room for an answer", answer, capacity)
	}
	if c.session == nil {
		if c.session, err = c.store.Session(); err != nil {
			return 0, fmt.Errorf("%s.%s: %w", StoreModule, StoreSQL, err)
		}
	}
	c.answer = c.session.Do(c.answer[:0], asked)
	if len(c.answer) > exchange.MaxAnswer {
		defer func() { c.answer = nil }()
		return 0, fmt.Errorf("%s.%s: an answer of %d bytes, more than %d: ask for fewer rows", StoreModule, StoreSQL, len(c.answer), exchange.MaxAnswer)
	}
	return c.tell(room), nil
}

// Again is the function StoreSQLAgain.
func (c *Client) Again(m Memory, answer, capacity uint32) (length uint32, err error) {
	defer recovered(&err)
	room, ok := m.Read(answer, capacity)
	if !ok {
		return 0, outside(StoreSQLAgain, "room for an answer", answer, capacity)
	}
	return c.tell(room), nil
}

// mostAnswerKept is the longest memory of an answer that a client keeps when it has
// told it, in bytes: an instance may live long, and there may be many.
const mostAnswerKept = 64 << 10

// tell writes the answer where it fits and returns its length.
func (c *Client) tell(room []byte) uint32 {
	length := uint32(len(c.answer))
	if len(c.answer) <= len(room) {
		copy(room, c.answer)
		if cap(c.answer) > mostAnswerKept {
			c.answer = nil
		}
	}
	return length
}

// recovered makes an error of a panic of the database, which must not unwind the
// frames of a guest.
func recovered(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("the host's database panicked: %v", p)
	}
}

// Rest undoes what the instance has begun and not finished, and returns an error
// that wraps ErrTransactionOpen where there was something. A long answer that was not
// fetched is dropped: a guest's memory is bounded, and this is the host's. It may be
// called for nil.
func (c *Client) Rest() error {
	if c == nil || c.session == nil {
		return nil
	}
	if cap(c.answer) > mostAnswerKept {
		c.answer = nil
	}
	open, err := c.session.Rest()
	switch {
	case err != nil:
		return fmt.Errorf("%w, and rolling it back: %w", ErrTransactionOpen, err)
	case open:
		return ErrTransactionOpen
	}
	return nil
}

func outside(function, what string, address, size uint32) error {
	return fmt.Errorf("%s.%s: the %s of %d bytes at %#x is outside the guest's memory", StoreModule, function, what, size, address)
}

// Close ends the instance's session, if it has one. It may be called again, and
// for nil.
func (c *Client) Close() error {
	if c == nil || c.session == nil {
		return nil
	}
	session := c.session
	c.session = nil
	if err := session.Close(); err != nil {
		return fmt.Errorf("ending a session of the database: %w", err)
	}
	return nil
}
