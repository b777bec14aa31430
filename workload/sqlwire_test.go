package workload_test

import (
	"errors"
	"math"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/seed-0132abb7/wasmbench/workload/guests/go/sqlwire"
)

var wireValues = []sqlwire.Value{
	{},
	{Kind: sqlwire.Int, Int: math.MinInt64},
	{Kind: sqlwire.Int, Int: math.MaxInt64},
	{Kind: sqlwire.Int},
	{Kind: sqlwire.Text},
	{Kind: sqlwire.Text, Text: "a\x00b'\xff" + strings.Repeat("z", 300)},
}

func TestSQLRequestsComeBack(t *testing.T) {
	for _, q := range []sqlwire.Request{
		{Op: sqlwire.Begin},
		{Op: sqlwire.Rollback},
		{Op: sqlwire.Read, SQL: "SELECT ?"},
		{Op: sqlwire.Write, SQL: "INSERT", Args: wireValues},
	} {
		b := sqlwire.AppendRequest([]byte("before"), q)
		got, err := sqlwire.ParseRequest(b[len("before"):])
		if err != nil || !reflect.DeepEqual(got, q) {
			t.Errorf("%+v came back as %+v, %v", q, got, err)
		}
	}
}

func TestSQLAnswersComeBack(t *testing.T) {
	for _, r := range []sqlwire.Rows{
		{},
		{Columns: 3},
		{Columns: 1, Values: wireValues},
		{Columns: 3, Values: wireValues},
	} {
		got, err := sqlwire.ParseAnswer(sqlwire.AppendRows(nil, r))
		if err != nil || !reflect.DeepEqual(got, r) || got.Len() != r.Len() {
			t.Errorf("%+v came back as %+v, %v", r, got, err)
		}
	}
	said := &sqlwire.Error{}
	_, err := sqlwire.ParseAnswer(sqlwire.AppendError(nil, errors.New("no such table")))
	if !errors.As(err, &said) || said.Text != "no such table" {
		t.Errorf("the error came back as %v", err)
	}
}

// Whatever is cut off or follows, nothing is taken for a whole request or answer,
// and no length is believed before there are as many bytes.
func TestSQLMalformed(t *testing.T) {
	request := sqlwire.AppendRequest(nil, sqlwire.Request{Op: sqlwire.Write, SQL: "INSERT", Args: wireValues})
	answer := sqlwire.AppendRows(nil, sqlwire.Rows{Columns: 2, Values: wireValues})
	refused := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, sqlwire.ErrMalformed) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for n := range request {
		_, err := sqlwire.ParseRequest(request[:n])
		refused("a request cut short", err)
	}
	for n := range answer {
		_, err := sqlwire.ParseAnswer(answer[:n])
		refused("an answer cut short", err)
	}
	_, err := sqlwire.ParseRequest(append(request, 0))
	refused("a request and more", err)
	for _, s := range []string{"\x09\x00\x00", "\x00\x00\x01\x03", "\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\x7f\x00"} {
		_, err := sqlwire.ParseRequest([]byte(s))
		refused("a request of false lengths", err)
	}
	for _, s := range []string{"\x02", "\x00\x00\x05", "\x00\xff\xff\x7f\x00", "\x00\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01\x02", "\x00\x01\xff\xff\xff\xff\xff\xff\xff\xff\x7f\x00"} {
		_, err := sqlwire.ParseAnswer([]byte(s))
		refused("an answer of false lengths", err)
	}
}

// What is too much is refused before any of it is kept.
func TestSQLRequestIsBounded(t *testing.T) {
	args := make([]sqlwire.Value, sqlwire.MaxArgs)
	text := strings.Repeat("x", sqlwire.MaxRequest-1-3-2-len(args))
	whole := sqlwire.AppendRequest(nil, sqlwire.Request{Op: sqlwire.Read, SQL: text, Args: args})
	if len(whole) != sqlwire.MaxRequest {
		t.Fatalf("the longest request has %d bytes", len(whole))
	}
	if q, err := sqlwire.ParseRequest(whole); err != nil || q.SQL != text || len(q.Args) != len(args) {
		t.Errorf("the longest request: %v", err)
	}
	for what, q := range map[string]sqlwire.Request{
		"a byte more":        {SQL: text + "x", Args: args},
		"an argument more":   {Args: append(args, sqlwire.Value{})},
		"very many of these": {Args: make([]sqlwire.Value, 1<<21)},
	} {
		b := sqlwire.AppendRequest(nil, q)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := sqlwire.ParseRequest(b)
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; err == nil || took > 2*sqlwire.MaxRequest {
			t.Errorf("%s: %v, for which %d bytes were taken", what, err, took)
		}
	}
}

func FuzzSQLWire(f *testing.F) {
	f.Add(sqlwire.AppendRequest(nil, sqlwire.Request{Op: sqlwire.Write, SQL: "INSERT", Args: wireValues}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if q, err := sqlwire.ParseRequest(b); err == nil {
			if again, err := sqlwire.ParseRequest(sqlwire.AppendRequest(nil, q)); err != nil || !reflect.DeepEqual(q, again) {
				t.Errorf("%+v came back as %+v, %v", q, again, err)
			}
		}
		if r, err := sqlwire.ParseAnswer(b); err == nil && r.Len()*r.Columns != len(r.Values) {
			t.Errorf("%d rows of %d columns have %d values", r.Len(), r.Columns, len(r.Values))
		}
	})
}
