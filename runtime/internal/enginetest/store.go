package enginetest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/enginehost"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/exchange"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/wasmtest"
)

// Store tests that guests reach the database of their host, each by a session of
// its own, and nothing of the host beside it. The subject has NewStored.
func Store(t *testing.T, s Subject) {
	s.begin(t)
	t.Run("answers", s.testStoreAnswers)
	t.Run("addresses", s.testStoreAddresses)
	t.Run("sessions", s.testStoreSessions)
	t.Run("failures", s.testStoreFailures)
	t.Run("panics", s.testStorePanics)
	t.Run("rests", s.testStoreRests)
	t.Run("together", s.testStoreTogether)
	t.Run("none", s.testNoStore)
}

// A fakeStore answers a request with the number of its session and the request.
type fakeStore struct {
	mu       sync.Mutex
	refuses  error // by which there is no session
	fails    error // of closing a session
	sessions int   // that there were
	open     int
	asked    int // requests
}

func (s *fakeStore) Open() error { return nil }

func (s *fakeStore) Session() (enginehost.Session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuses != nil {
		return nil, s.refuses
	}
	s.sessions++
	s.open++
	return &fakeSession{store: s, number: s.sessions}, nil
}

func (s *fakeStore) Close() error { return nil }

// counts tells of sessions that there were, that are open and of requests.
func (s *fakeStore) counts() [3]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return [3]int{s.sessions, s.open, s.asked}
}

type fakeSession struct {
	store  *fakeStore
	number int
	begun  bool // what Rest undoes
}

// Requests of which a session makes more than an answer.
const (
	flood = "flood" // an answer over the limit
	torn  = "torn"  // a panic
	begin = "begin" // something that is not finished
)

func (s *fakeSession) Do(dst, request []byte) []byte {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	s.store.asked++
	switch string(request) {
	case flood:
		return append(dst, make([]byte, exchange.MaxAnswer+1)...)
	case torn:
		panic("torn page")
	case begin:
		s.begun = true
	}
	return fmt.Appendf(dst, "%d:%s", s.number, request)
}

func (s *fakeSession) Rest() (open bool, err error) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	open, s.begun = s.begun, false
	return open, s.store.fails
}

func (s *fakeSession) Close() error {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	s.store.open--
	return s.store.fails
}

// storeImage opens a module of wasmtest, closed with the test.
func (s *Subject) storeImage(t *testing.T, store enginehost.Store, interruptible bool, module []byte) runtime.Image {
	t.Helper()
	e := s.NewStored(t, store, interruptible)
	img, err := e.Image(s.assembled(t, e, module))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := img.Close(); err != nil {
			t.Error(err)
		}
	})
	return img
}

// assembled compiles a module of wasmtest.
func (s *Subject) assembled(t *testing.T, e enginehost.Engine, module []byte) enginehost.Source {
	t.Helper()
	src := enginehost.Source{Module: wasmtest.Write(t, module)}
	if !s.Interpreter {
		src.Artifact = src.Module + ".compiled"
		if err := e.Compile(t.Context(), src.Module, src.Artifact); err != nil {
			t.Fatal(err)
		}
	}
	return src
}

// numbers is a request to wasmtest.Asking.
func numbers(text string, n ...uint32) []byte {
	var b []byte
	for _, v := range n {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	return append(b, text...)
}

// shown is the answer of wasmtest.Asking.
func shown(length int, text string) []byte {
	return append(binary.LittleEndian.AppendUint32(nil, uint32(length)), append([]byte(text), make([]byte, wasmtest.Shown-len(text))...)...)
}

func (s *Subject) testStoreAnswers(t *testing.T) {
	const asked, room, text, answer = wasmtest.Asked, wasmtest.Room, "a request", "1:a request"
	for _, interruptible := range []bool{false, true} {
		inst := start(t, s.storeImage(t, new(fakeStore), interruptible, wasmtest.Asking()))
		for _, tt := range []struct {
			name    string
			request []byte
			want    []byte // with what is left of the answers before
		}{
			{"again before anything was asked", numbers("", room, 0), shown(0, "")},
			{"too long for its room", numbers(text, asked, uint32(len(text)), room, uint32(len(answer)-1)), shown(len(answer), "")},
			{"again, too long still", numbers("", room, 3), shown(len(answer), "")},
			{"again", numbers("", room, uint32(len(answer))), shown(len(answer), answer)},
			{"again elsewhere", numbers("", room+4, uint32(len(answer))), shown(len(answer), answer[:4]+answer)},
			{"at once", numbers(text, asked, 3, room, 100), shown(5, "1:a r"+answer[1:])},
			{"no request and no room", numbers("", asked, 0, 0, 0), shown(2, "1:a r"+answer[1:])},
			{"on the request itself", numbers(text, asked, uint32(len(text)), asked, 100), shown(len(answer), "1:a r"+answer[1:])},
			{"that again", numbers("", room, 100), shown(len(answer), answer+answer[7:])},
		} {
			got, err := inst.Call(t.Context(), tt.request)
			if err != nil || !bytes.Equal(got, tt.want) {
				t.Errorf("interruptible=%t, %s: %q, error %v; want %q", interruptible, tt.name, got, err, tt.want)
			}
		}
	}
}

// What is outside the guest's memory is a trap, and the database is not asked.
func (s *Subject) testStoreAddresses(t *testing.T) {
	const asked, room, page, last = wasmtest.Asked, wasmtest.Room, 64 << 10, 1<<32 - 1
	store := new(fakeStore)
	img := s.storeImage(t, store, false, wasmtest.Asking())
	bystander := start(t, img)
	for _, n := range [][]uint32{
		{page, 1, room, 100},
		{page - 3, 4, room, 100},
		{asked, page, room, 100},
		{asked, last, room, 100},
		{last, 1, room, 100},
		{last, last, room, 100},
		{asked, 4, page, 1},
		{asked, 4, page - 3, 4},
		{asked, 4, room, last},
		{asked, 4, last, last},
		{page, 1},
		{room, page},
		{last, last},
	} {
		inst, err := img.Start(t.Context(), unmarked)
		if err != nil {
			t.Fatal(err)
		}
		text := "text"
		if len(n) == 2 { // parameters of sql_again
			text = ""
		}
		if answer, err := inst.Call(t.Context(), numbers(text, n...)); err == nil || !strings.Contains(err.Error(), "outside the guest's memory") {
			t.Errorf("%d: answer %q, error %v", n, answer, err)
		}
		if err := inst.Close(); err != nil {
			t.Error(err)
		}
		if counts := store.counts(); counts != [3]int{} {
			t.Errorf("%d: sessions, open ones and requests: %v", n, counts)
		}
	}
	// All of the memory is within it.
	if got, err := bystander.Call(t.Context(), numbers("text", asked, 4, 0, page)); err != nil || !bytes.Equal(got, shown(len("1:text"), "")) {
		t.Errorf("after them: %q, error %v", got, err)
	}
}

// An instance has a session from its first request until it is closed, also where
// it has failed.
func (s *Subject) testStoreSessions(t *testing.T) {
	store := new(fakeStore)
	img := s.storeImage(t, store, false, wasmtest.Asking())
	first, second := start(t, img), start(t, img)
	if counts := store.counts(); counts != [3]int{} {
		t.Errorf("before anything is asked: sessions, open ones and requests: %v", counts)
	}
	for _, tt := range []struct {
		inst runtime.Instance
		want string
	}{{first, "1:text"}, {second, "2:text"}, {first, "1:text"}} {
		got, err := tt.inst.Call(t.Context(), numbers("text", wasmtest.Asked, 4, wasmtest.Room, 100))
		if err != nil || !bytes.Equal(got, shown(len(tt.want), tt.want)) {
			t.Errorf("%q, error %v; want %s", got, err, tt.want)
		}
	}
	if counts := store.counts(); counts != [3]int{2, 2, 3} {
		t.Errorf("sessions, open ones and requests: %v", counts)
	}
	if _, err := second.Call(t.Context(), numbers("text", 1<<31, 4, 0, 0)); err == nil {
		t.Error("a request from outside the memory was answered")
	}
	for range 2 {
		if err := second.Close(); err != nil {
			t.Error(err)
		}
	}
	if counts := store.counts(); counts != [3]int{2, 1, 3} {
		t.Errorf("after one is closed: sessions, open ones and requests: %v", counts)
	}
}

func (s *Subject) testStoreFailures(t *testing.T) {
	store := &fakeStore{refuses: errors.New("no session today")}
	img := s.storeImage(t, store, false, wasmtest.Asking())
	request := numbers("text", wasmtest.Asked, 4, wasmtest.Room, 100)
	inst := start(t, img)
	if answer, err := inst.Call(t.Context(), request); !errors.Is(err, store.refuses) {
		t.Errorf("without a session: answer %q, error %v", answer, err)
	}
	store.refuses = nil
	inst = start(t, img)
	if _, err := inst.Call(t.Context(), numbers(flood, wasmtest.Asked, uint32(len(flood)), wasmtest.Room, 100)); err == nil || !strings.Contains(err.Error(), fmt.Sprint(exchange.MaxAnswer)) {
		t.Errorf("an answer over the limit gave %v", err)
	}
	inst, err := img.Start(t.Context(), unmarked)
	if err == nil {
		_, err = inst.Call(t.Context(), request)
	}
	if err != nil {
		t.Fatal(err)
	}
	store.fails = errors.New("not undone")
	if err := inst.Close(); !errors.Is(err, store.fails) {
		t.Errorf("a session that does not end: %v", err)
	}
	store.fails = nil
}

// A database that panics ends the instance that asked, and no other.
func (s *Subject) testStorePanics(t *testing.T) {
	for _, interruptible := range []bool{false, true} {
		store := new(fakeStore)
		img := s.storeImage(t, store, interruptible, wasmtest.Relay())
		for n, request := range []string{torn, "text", torn, "text"} {
			inst, err := img.Start(t.Context(), unmarked)
			if err != nil {
				t.Fatal(err)
			}
			answer, err := inst.Call(t.Context(), []byte(request))
			if want := fmt.Sprintf("%d:text", n+1); request == torn {
				if err == nil || !strings.Contains(err.Error(), "torn page") {
					t.Errorf("interruptible=%t: a panic gave %q, error %v", interruptible, answer, err)
				}
			} else if err != nil || string(answer) != want {
				t.Errorf("interruptible=%t: after a panic: %q, error %v; want %q", interruptible, answer, err, want)
			}
			if err := inst.Close(); err != nil {
				t.Error(err)
			}
		}
		if counts := store.counts(); counts[1] != 0 {
			t.Errorf("interruptible=%t: %d sessions were left open", interruptible, counts[1])
		}
	}
}

// What an instance has begun is undone when it rests, and it goes on.
func (s *Subject) testStoreRests(t *testing.T) {
	for _, interruptible := range []bool{false, true} {
		store := new(fakeStore)
		inst := start(t, s.storeImage(t, store, interruptible, wasmtest.Relay()))
		rester, ok := inst.(interface{ Rest() error })
		if !ok {
			t.Fatalf("interruptible=%t: %T has no Rest", interruptible, inst)
		}
		if err := rester.Rest(); err != nil {
			t.Errorf("interruptible=%t: before it has a session: %v", interruptible, err)
		}
		for _, request := range []string{"text", begin, "text", begin} {
			if answer, err := inst.Call(t.Context(), []byte(request)); err != nil || string(answer) != "1:"+request {
				t.Errorf("interruptible=%t: %s gave %q, error %v", interruptible, request, answer, err)
			}
			if err := rester.Rest(); errors.Is(err, enginehost.ErrTransactionOpen) != (request == begin) {
				t.Errorf("interruptible=%t: resting after %s: %v", interruptible, request, err)
			}
			if err := rester.Rest(); err != nil {
				t.Errorf("interruptible=%t: resting again: %v", interruptible, err)
			}
		}
		store.fails = errors.New("not undone")
		if err := rester.Rest(); !errors.Is(err, store.fails) {
			t.Errorf("interruptible=%t: what cannot be undone: %v", interruptible, err)
		}
		store.fails = nil
	}
}

// Instances that ask at the same time are answered what they asked.
func (s *Subject) testStoreTogether(t *testing.T) {
	store := new(fakeStore)
	img := s.storeImage(t, store, false, wasmtest.Relay())
	const instances, each = 16, 50
	var all sync.WaitGroup
	for i := range instances {
		inst, err := img.Start(t.Context(), unmarked)
		if err != nil {
			t.Fatal(err)
		}
		all.Go(func() {
			session := ""
			for n := range each {
				// As long as to be fetched again now and then.
				request := fmt.Sprintf("%d of %d%s", n, i, strings.Repeat("x", n%2*2000))
				answer, err := inst.Call(t.Context(), []byte(request))
				of, text, _ := strings.Cut(string(answer), ":")
				if err != nil || text != request || n > 0 && of != session {
					t.Errorf("%.20s: %.20q, error %v; want the same of session %s", request, answer, err, session)
				}
				session = of
			}
			if err := inst.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if counts := store.counts(); counts != [3]int{instances, 0, instances * each} {
		t.Errorf("sessions, open ones and requests: %v", counts)
	}
}

// A module that asks for a database is refused where there is none, with what it
// asks for and what to do.
func (s *Subject) testNoStore(t *testing.T) {
	e := s.New(t, "", false)
	src := s.assembled(t, e, wasmtest.Relay())
	img, err := e.Image(src)
	if err == nil {
		defer img.Close()
		_, err = img.Start(t.Context(), unmarked)
	}
	runErr := e.Run(t.Context(), src, func() {}, func([]runtime.Region) {})
	for _, err := range []error{err, runErr} {
		if !errors.Is(err, enginehost.ErrNoStore) || !strings.Contains(err.Error(), "wasmbench.sql") || !strings.Contains(err.Error(), "Stored") {
			t.Errorf("without a database: %v", err)
		}
	}
}
