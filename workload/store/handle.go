package store

import (
	"database/sql"
	"errors"
	"reflect"
	"sync"
	"time"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// A handle is a connection as SQLite has it. What it is asked for here its driver
// does not tell; that has a context to end a statement by, which makes a short one
// take twice as long.
type handle struct {
	mu      sync.Mutex
	tls     *libc.TLS
	db      uintptr // 0 when it is closed
	timer   *time.Timer
	until   time.Time // when what is running is too late; zero if nothing is
	stopped bool      // what is running has been told to end
}

// handleOf returns the handle of a connection.
func handleOf(c *sql.Conn) (*handle, error) {
	var db uintptr
	err := c.Raw(func(driver any) error {
		v := reflect.Indirect(reflect.ValueOf(driver))
		if v.Kind() == reflect.Struct {
			if f := v.FieldByName("db"); f.Kind() == reflect.Uintptr {
				db = uintptr(f.Uint())
			}
		}
		if db == 0 {
			return errors.New("this version of its driver does not let its statements be ended: change package store with it")
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	h := &handle{tls: libc.NewTLS(), db: db}
	h.timer = time.AfterFunc(time.Hour, h.expire)
	h.timer.Stop()
	return h, nil
}

// start has what runs from now on end with an error when it has run so long.
func (h *handle) start(longest time.Duration) {
	h.mu.Lock()
	h.until, h.stopped = time.Now().Add(longest), false
	h.timer.Reset(longest)
	h.mu.Unlock()
}

// stop says that what was running has ended, and returns whether it had to.
func (h *handle) stop() (late bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.until = time.Time{}
	h.timer.Stop()
	return h.stopped
}

func (h *handle) expire() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.until.IsZero() || time.Now().Before(h.until) {
		return // that was for what ran before
	}
	h.stopped = true
	sqlite3.Xsqlite3_interrupt(h.tls, h.db)
	h.timer.Reset(10 * time.Millisecond) // SQLite forgets it where a statement is about to begin
}

// inTransaction returns whether there is one that has not ended.
func (h *handle) inTransaction() bool { return sqlite3.Xsqlite3_get_autocommit(h.tls, h.db) == 0 }

// last returns the statement that was prepared last and not closed, or 0.
func (h *handle) last() (stmt uintptr) { return sqlite3.Xsqlite3_next_stmt(h.tls, h.db, 0) }

// parameters returns how many arguments a statement takes.
func (h *handle) parameters(stmt uintptr) int {
	return int(sqlite3.Xsqlite3_bind_parameter_count(h.tls, stmt))
}

// close is called before the connection is closed.
func (h *handle) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.until = time.Time{}
	h.timer.Stop()
	h.db = 0 // whose memory is another's soon
	h.tls.Close()
}
