package enginehost

import (
	"encoding/binary"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	goruntime "runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// held runs hold with the image and returns how it is asked and ended.
func held(t *testing.T, f *fake) (ask func(Query) Reply, end func() error) {
	ask, _, end = cancellable(t, f)
	return ask, end
}

// cancellable is held with the turns of queries that are to end.
func cancellable(t *testing.T, f *fake) (ask func(Query) Reply, cancel func(turn uint64), end func() error) {
	in, queries := io.Pipe()
	replies, out := io.Pipe()
	named, cancels := io.Pipe()
	ended := make(chan error)
	go func() { ended <- hold(t.Context(), f, in, out, func() io.Reader { return named }) }()
	enc, dec := gob.NewEncoder(queries), gob.NewDecoder(replies)
	ask = func(q Query) (r Reply) {
		t.Helper()
		if err := errors.Join(enc.Encode(q), dec.Decode(&r)); err != nil {
			t.Error(err)
		}
		return r
	}
	cancel = func(turn uint64) {
		if err := binary.Write(cancels, binary.LittleEndian, turn); err != nil {
			t.Error(err)
		}
	}
	end = func() error {
		queries.Close()
		cancels.Close()
		return <-ended
	}
	return ask, cancel, end
}

func TestBatches(t *testing.T) {
	ask, end := held(t, newFake())
	inst := ask(Query{Op: OpStart})
	r := ask(Query{Op: OpBatches, ID: inst.ID, N: 3, Size: 100, Body: []byte("hello")})
	if r.Err != "" || len(r.Times) != 3 || slices.Min(r.Times) <= 0 || len(r.Answers) != 1 || string(r.Answers[0]) != "HELLO" {
		t.Errorf("three batches: %+v", r)
	}
	if r := ask(Query{Op: OpBatches, ID: inst.ID + 1, N: 3, Size: 100}); r.Err == "" {
		t.Error("batches of an instance that is not there")
	}
	if r := ask(Query{Op: OpBatches, ID: inst.ID, N: 1, Size: 2, Body: []byte("fail")}); !strings.Contains(r.Err, "failed as it was told") {
		t.Errorf("calls that fail: %+v", r)
	}
	if err := end(); err != nil {
		t.Error(err)
	}
}

// A fake that waits is told to go on when all of them wait: they are called at
// the same time, also where there are more than processors.
func TestTogether(t *testing.T) {
	usual := goruntime.GOMAXPROCS(0)
	for _, n := range []int{1, 2, 5, 50} {
		f := newFake()
		ask, end := held(t, f)
		var q Query
		for range n {
			q.IDs = append(q.IDs, ask(Query{Op: OpStart}).ID)
			q.Bodies = append(q.Bodies, []byte("wait"))
		}
		q.Op = OpTogether
		go func() {
			for range n {
				<-f.calls
			}
			close(f.release)
		}()
		r := ask(q)
		if r.Err != "" || len(r.Answers) != n || len(r.Times) != 1 || r.Times[0] <= 0 {
			t.Fatalf("%d together: %+v", n, r)
		}
		if now := goruntime.GOMAXPROCS(0); now != usual {
			t.Errorf("after %d together the host has %d processors, and had %d", n, now, usual)
		}
		for i := range n {
			q.Bodies[i] = fmt.Appendf(nil, "the %dth", i)
		}
		for i, answer := range ask(q).Answers {
			if want := strings.ToUpper(string(q.Bodies[i])); string(answer) != want {
				t.Errorf("instance %d of %d answered %q, want %q", i, n, answer, want)
			}
		}
		if err := end(); err != nil || f.open.Load() != 0 {
			t.Errorf("at the end: %v, %d instances left", err, f.open.Load())
		}
	}
}

func TestTogetherThatCannotBe(t *testing.T) {
	f := newFake()
	ask, end := held(t, f)
	var ids []int
	for range 3 {
		ids = append(ids, ask(Query{Op: OpStart}).ID)
	}
	bodies := [][]byte{[]byte("one"), []byte("fail"), []byte("three")} // the second must not be called but in the last case
	for _, tt := range []struct {
		name   string
		ids    []int
		bodies [][]byte
		says   string
	}{
		{"nobody", nil, nil, "0 instances"},
		{"without a request", ids, bodies[:2], "3 instances and 2 requests"},
		{"unknown", []int{ids[0], ids[1], 99}, bodies, "instance 3 of 3: there is no instance 99"},
		{"twice", []int{ids[0], ids[1], ids[0]}, bodies, "instance 3 of 3 is also the one in place 1"},
		{"one that fails", ids, bodies, "instance 2 of 3: the guest failed as it was told to"},
		{"one that has failed", ids, bodies, "instance 2 of 3: called after it had failed"},
	} {
		r := ask(Query{Op: OpTogether, IDs: tt.ids, Bodies: tt.bodies})
		if !strings.Contains(r.Err, tt.says) || r.Answers != nil || r.Times != nil {
			t.Errorf("%s: %+v, want %q", tt.name, r, tt.says)
		}
	}
	if err := end(); err != nil {
		t.Error(err)
	}
}

// The harness ends the query whose turn it names and no other, also before that
// query has come and after it has been answered.
func TestTurns(t *testing.T) {
	before := goruntime.NumGoroutine()
	f := newFake()
	ask, cancel, end := cancellable(t, f)
	id := ask(Query{Op: OpStart, Turn: 1}).ID
	call := func(turn uint64) string {
		return ask(Query{Op: OpCall, Turn: turn, ID: id, Body: []byte("until ended")}).Err
	}
	go func() {
		<-f.calls
		cancel(1) // has been answered
		cancel(2)
	}()
	if err := call(2); err != errCancelled.Error() {
		t.Errorf("the query under way: %q", err)
	}
	go func() { <-f.calls }()
	cancel(3)
	cancel(3) // has arrived when the reader takes the next
	if err := call(3); err != errCancelled.Error() {
		t.Errorf("the query on its way: %q", err)
	}
	if r := ask(Query{Op: OpCall, Turn: 4, ID: id, Body: []byte("hello")}); string(r.Body) != "HELLO" {
		t.Errorf("the next: %+v", r)
	}
	if err := end(); err != nil {
		t.Error(err)
	}
	for left := time.Now().Add(time.Minute); goruntime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
		if time.Now().After(left) {
			t.Fatalf("%d goroutines, there were %d", goruntime.NumGoroutine(), before)
		}
	}
}
