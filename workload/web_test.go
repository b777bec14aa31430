package workload_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/seed-0132abb7/wasmbench/workload/guests/go/web"
)

func TestWebRequests(t *testing.T) {
	for text, want := range map[string]web.Request{
		"GET /\n":                        {Method: "GET", Target: "/", Body: []byte{}},
		"GET /a?b=c d\n":                 {Method: "GET", Target: "/a?b=c d", Body: []byte{}},
		"POST /cart/add\n{\n\"a\": 1\n}": {Method: "POST", Target: "/cart/add", Body: []byte("{\n\"a\": 1\n}")},
		"OPTIONS *\n\x00\xff":            {Method: "OPTIONS", Target: "*", Body: []byte{0, 0xff}},
	} {
		got, err := web.ParseRequest([]byte(text))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q is %+v, %v; want %+v", text, got, err, want)
		}
		if again := string(got.Append([]byte("before"))); again != "before"+text {
			t.Errorf("%q becomes %q", text, again)
		}
	}
	for _, bad := range []string{"", "\n", "GET /", "GET\n", "GET \n", " /\n", " \n", "\nGET /\n"} {
		if r, err := web.ParseRequest([]byte(bad)); !errors.Is(err, web.ErrMalformed) || !strings.Contains(err.Error(), "request") {
			t.Errorf("%q is taken for %+v, %v", bad, r, err)
		}
	}
}

func TestWebResponses(t *testing.T) {
	for text, want := range map[string]web.Response{
		"200 text/plain\n":               {Status: 200, ContentType: "text/plain", Body: []byte{}},
		"204 \n":                         {Status: 204, Body: []byte{}},
		"999 text/plain; a=b\n\n200 x\n": {Status: 999, ContentType: "text/plain; a=b", Body: []byte("\n200 x\n")},
	} {
		got, err := web.ParseResponse([]byte(text))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q is %+v, %v; want %+v", text, got, err, want)
		}
		head := web.AppendHead([]byte("before"), got.Status, got.ContentType)
		if again := string(append(head, got.Body...)); again != "before"+text {
			t.Errorf("%q becomes %q", text, again)
		}
	}
	for _, bad := range []string{
		"", "\n", "200", "200 text/plain", "200\n", " text/plain\n", "99 x\n", "1000 x\n", "099 x\n", "0200 x\n",
		"+20 x\n", "-20 x\n", "2.0 x\n", "2e1 x\n", "two x\n", "error: no\n", "Hello, World!",
	} {
		if r, err := web.ParseResponse([]byte(bad)); !errors.Is(err, web.ErrMalformed) || !strings.Contains(err.Error(), "response") {
			t.Errorf("%q is taken for %+v, %v", bad, r, err)
		}
	}
}
