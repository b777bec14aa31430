package workload_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// The right answer is the request, as another decoder has it, and what is added.
func TestJSONAnswer(t *testing.T) {
	w := workload.JSON(workload.C)
	var order map[string]any
	if err := json.Unmarshal(w.Request(), &order); err != nil {
		t.Fatal(err)
	}
	var total float64
	items := order["items"].([]any)
	for _, i := range items {
		item := i.(map[string]any)
		total += item["quantity"].(float64) * item["cents"].(float64)
	}
	order["count"], order["total"] = float64(len(items)), total
	var answer bytes.Buffer
	err := w.Check(nil)
	wrong := new(workload.WrongAnswer)
	if !errors.As(err, &wrong) {
		t.Fatalf("no answer is %v", err)
	}
	var want map[string]any
	if err := json.Unmarshal(wrong.Want, &want); err != nil || !reflect.DeepEqual(order, want) {
		t.Errorf("the right answer is %v, %v; of the request it is %v", want, err, order)
	}
	if err := json.Compact(&answer, wrong.Want); err != nil || answer.String() != string(wrong.Want) {
		t.Errorf("%s is not compact: %v", wrong.Want, err)
	}
	if n := len(w.Request()); n < 950 || n > 1100 {
		t.Errorf("the request has %d bytes, want about 1 KB", n)
	}
}

// order is a small order with one item, in which what is told is replaced.
func order(replaced ...string) string {
	const plain = `{"id":1,"customer":{"id":2,"name":"n","email":"e"},"items":[{"sku":"s","name":"i","quantity":3,"cents":5}],"note":"x"}`
	return strings.NewReplacer(replaced...).Replace(plain)
}

// receipt is the answer to an order that counts one item of 15 cents.
func receipt(order string) string { return order[:len(order)-1] + `,"count":1,"total":15}` }

// The orders that every guest takes, each with its receipt.
func orders() map[string]string {
	const most = "999999999999999"
	var many []string
	for i := range 1000 {
		many = append(many, fmt.Sprintf(`{"sku":"%d","name":"%s","quantity":10000,"cents":100000000}`, i, strings.Repeat("n", 1+i)))
	}
	full := order(`{"sku":"s","name":"i","quantity":3,"cents":5}`, strings.Join(many, ","))
	all := map[string]string{
		order(): receipt(order()),
		order(`"id":1`, `"id":`+most, `"id":2`, `"id":`+most): receipt(order(`"id":1`, `"id":`+most, `"id":2`, `"id":`+most)),
		full: full[:len(full)-1] + `,"count":1000,"total":1000000000000000}`,
		" \t\r\n" + order(`:`, " :\n", `,`, "\t,\r\n", `{`, `{ `, `[`, `[ `, `}`, ` }`, `]`, ` ]`) + "\n": receipt(order()),
		// Members in another order, or that a record does not have, or twice.
		`{"note":"x","items":[{"cents":5,"quantity":3,"name":"i","sku":"s"}],"customer":{"email":"e","name":"n","id":2},"id":1}`: receipt(order()),
		order(`"id":1`, `"id":7,"id":1`): receipt(order()),
		order(`"id":1`, `"a":[],"b":{},"c":[1,-2.5e+7,0.1E-2,1e9,0,-0,true,false,null,{"d":[[["e\ud83d\udc11"]]]}],"":"","id":1`): receipt(order()),
		order(`"quantity"`, `"extra":{"quantity":9},"quantity"`):                                                                  receipt(order()),
		order(`"id"`, `"\u0069d"`): receipt(order()),
		// As deep as C goes, by functions that call each other.
		order(`"id":1`, `"a":`+strings.Repeat("[", 63)+strings.Repeat("]", 63)+`,"id":1`):         receipt(order()),
		order(`"id":1`, `"a":`+strings.Repeat(`{"":`, 62)+"{}"+strings.Repeat("}", 62)+`,"id":1`): receipt(order()),
		order(`"sku"`, `"a":`+strings.Repeat(`[{"":`, 30)+"[]"+strings.Repeat("}]", 30)+`,"sku"`): receipt(order()),
		// The note alone may be absent.
		order(`,"note":"x"`, ``):         receipt(order(`"x"`, `""`)),
		order(`"x"`, `null`):             receipt(order(`"x"`, `""`)),
		order(`"x"`, `""`):               receipt(order(`"x"`, `""`)),
		order(`:"n"`, `:"\u0022\u005C"`): receipt(order(`:"n"`, `:"\"\\"`)),
	}
	for source, text := range map[string]string{
		`\"\\\/\b\f\n\r\t`:                                                   `\"\\/\b\f\n\r\t`,
		`\u0008\u000c\u000a\u000D\u0009\u002f`:                               `\b\f\n\r\t/`,
		`\u0000\u0001\u001f\u001F ~`:                                         `\u0000\u0001\u001f\u001f ~`,
		"\u007f\u0080\u07ff\u0800\ud7ff\ue000\uffff\U00010000\U0010ffff":     "\u007f\u0080\u07ff\u0800\ud7ff\ue000\uffff\U00010000\U0010ffff",
		`\u007f\u0080\u07ff\u0800\uD7FF\ue000\uFFfF\ud800\udc00\udbff\udfff`: "\u007f\u0080\u07ff\u0800\ud7ff\ue000\uffff\U00010000\U0010ffff",
		`<b>&amp;'/</b>`:                                                     `<b>&amp;'/</b>`,
		strings.Repeat(`\u0001`, 20000):                                      strings.Repeat(`\u0001`, 20000),
	} {
		all[order(`"x"`, `"`+source+`"`)] = receipt(order(`"x"`, `"`+text+`"`))
	}
	return all
}

// The documents that every guest refuses, each with what the error has in it.
func malformed() map[string]string {
	const item = `{"sku":"s","name":"i","quantity":3,"cents":5}`
	all := map[string]string{
		"": "", " ": "", "{}": "id: want an integer from 1 to 999999999999999", "[]": "", "null": "", "1": "", `"order"`: "", "World": "",
		order() + "x": "", order() + order(): "", order() + "]": "", "\ufeff" + order(): "", "\x00" + order(): "", order() + "\x00": "",
		order(`"id":1,`, ``):                                   "id: want an integer from 1 to 999999999999999",
		order(`"id":2,`, ``):                                   "customer.id: want an integer from 1 to 999999999999999",
		order(`"id":1`, `"id":null`):                           "id: want an integer from 1 to 999999999999999",
		order(`"id":1`, `"id":0`):                              "id: want an integer from 1 to 999999999999999",
		order(`"name":"n",`, ``):                               "customer.name: want a text",
		order(`"n"`, `""`):                                     "customer.name: want a text",
		order(`"e"`, `null`):                                   "customer.email: want a text",
		order("["+item+"]", `[]`):                              "items: want 1 to 1000",
		order("["+item+"]", `null`):                            "items: want 1 to 1000",
		order(`"sku":"s",`, ``):                                "items[0].sku: want a text",
		order(`}],`, `},{"sku":"s","quantity":3,"cents":5}],`): "items[1].name: want a text",
		order(`}],`, `},null],`):                               "items[1].sku: want a text",
		order(`3`, `0`):                                        "items[0].quantity: want an integer from 1 to 10000",
		order(`3`, `10001`):                                    "items[0].quantity: want an integer from 1 to 10000",
		order(`5}`, `100000001}`):                              "items[0].cents: want an integer from 1 to 100000000",
		order(`"quantity":3`, `"quantity":1,"quantity":0`):     "items[0].quantity: want an integer from 1 to 10000",
	}
	all[order(item, strings.Repeat(item+",", 1000)+item)] = "1000"
	for _, n := range []string{
		`-1`, `1000000000000000`, `18446744073709551617`, strings.Repeat("9", 400), `1.5`, `"1"`, `true`, `[1]`, `{}`,
		`01`, `+1`, `1.`, `.1`, `1e`, `1e+`, `0x1`, `- 1`, `1 2`, `NaN`, `Infinity`, `-Infinity`, `nul`, `undefined`, `'1'`, ``,
	} {
		all[order(`"id":1`, `"id":`+n)] = ""
	}
	for _, s := range []string{
		`"`, `"x`, `x"`, `'x'`, `"\x"`, `"\"`, `"\u12"`, `"\u12g4"`, `"\U0031"`, "\"\n\"", "\"\t\"", "\"\x00\"", "\"\x1f\"", `"x""y"`, `1`, `[]`, `{}`, `false`,
		"\"\xff\"", "\"\x80\"", "\"\xc0\x80\"", "\"\xc1\xbf\"", "\"\xe0\x80\x80\"", "\"\xed\xa0\x80\"", "\"\xf0\x80\x80\x80\"", "\"\xf4\x90\x80\x80\"", "\"\xf5\x80\x80\x80\"",
		"\"\xc3\"", "\"\xe2\x82\"", "\"\xf0\x9f\x90\"", "\"\xc3(\"",
	} {
		all[order(`"x"`, s)] = ""
	}
	for _, o := range []string{
		order(`:`, ``), order(`,`, ``), order(`}],`, `},],`), order(`"x"}`, `"x",}`), order(`{"id":1`, `{,"id":1`), order(`"id":1`, `id:1`), order(`"id":1`, `1:1`),
		order(`{"id":2`, `["id":2`), order(`[{`, `{{`), order(`}]`, `}}`), order(`}]`, `]`), order(`"note"`, `/* */"note"`), order(`"x"`, `"x"//`),
		order(`"x"`, `"x","a":tru`), order(`"x"`, `"x","a":[1,]`), order(`"x"`, `"x","a":{"b"}`), order(`"x"`, `"x","a":01`), order(`"x"`, `"x","a":NaN`),
		order(`"x"`, `"x","a":`+strings.Repeat("[", 200000)), order(`"x"`, `"x","a":`+strings.Repeat(`{"":`, 200000)),
	} {
		all[o] = ""
	}
	return all
}

// documents asks a guest for all that it takes and refuses, and between these for
// what it is for.
func documents(t *testing.T, w workload.Workload, ask func([]byte) []byte) {
	t.Helper()
	for document, want := range orders() {
		if got := ask([]byte(document)); string(got) != want {
			t.Errorf("%.200q is answered %.300q, want %.300q", document, got, want)
		}
	}
	for document, text := range malformed() {
		got := string(ask([]byte(document)))
		if rest, ok := strings.CutPrefix(got, "error: "); !ok || len(rest) < 3 || !strings.Contains(rest, text) {
			t.Errorf("%.200q is answered %.200q, want an error with %q", document, got, text)
		}
		if err := w.Check([]byte(got)); !errors.As(err, new(*workload.GuestError)) {
			t.Errorf("of %.200q Check says %v, want a *GuestError", got, err)
		}
		if err := w.Check(ask(w.Request())); err != nil {
			t.Fatalf("after %.200q: %v", document, err)
		}
	}
}

func TestJSONDocuments(t *testing.T) {
	for _, l := range workload.Languages() {
		t.Run(string(l), func(t *testing.T) {
			w := workload.JSON(l)
			c := converse(t, w, true)
			documents(t, w, c.ask)
			whole := bytes.TrimSpace(w.Request())
			for n := range whole {
				if got := c.ask(whole[:n]); !bytes.HasPrefix(got, []byte("error: ")) {
					t.Fatalf("the first %d bytes are answered %q", n, got)
				}
				for _, odd := range []byte{0x01, 0xff} {
					damaged := bytes.Clone(whole)
					damaged[n] = odd
					if got := c.ask(damaged); !bytes.HasPrefix(got, []byte("error: ")) {
						t.Fatalf("with %#x as byte %d it is answered %q", odd, n, got)
					}
				}
			}
			if err := w.Check(c.ask(whole)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestJSONInEngines(t *testing.T) {
	onEach(t, func(t *testing.T, l workload.Language, r runtime.Runtime) {
		w := workload.JSON(l)
		documents(t, w, live(t, r, w))
	})
}

// The memory that one request takes is that of the next.
func TestJSONInCKeepsItsMemory(t *testing.T) {
	w := workload.JSON(workload.C)
	c := converse(t, w, true)
	var largest []byte
	for document := range orders() {
		if len(document) > len(largest) {
			largest = []byte(document)
		}
	}
	several := [][]byte{largest, w.Request(), []byte(order()), []byte("{"), largest[:len(largest)/2]}
	turns := func(n int) {
		for i := range n {
			c.ask(several[i%len(several)])
		}
	}
	turns(50)
	before := resident(t, c.cmd.Process.Pid)
	turns(500)
	if after := resident(t, c.cmd.Process.Pid); after-before > len(largest)/2 {
		t.Errorf("after 500 requests it holds %d bytes more", after-before)
	}
}
