package costmodel_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/seed-0132abb7/wasmbench/costmodel"
)

// What json.Marshal writes is read back, so the article's table can be changed in a
// file.
func TestReadFramework(t *testing.T) {
	article := costmodel.ArticleFramework()
	written, err := json.Marshal(article)
	if err != nil {
		t.Fatal(err)
	}
	if f, err := costmodel.ReadFramework(bytes.NewReader(written)); err != nil || !reflect.DeepEqual(f, article) {
		t.Errorf("%+v, %v, from %s", f, err, written)
	}
	const own = `{"outweigh": 3, "rules": [
		{"name": "gpu", "for": "container", "weight": 1, "must": true, "reason": "r", "source": "s"},
		{"name": "answers", "for": "wasm", "weight": 2.5, "group": "g", "metric": "HTTP req/s", "higher": true, "margin": 1.5},
		{"name": "cold-start", "for": "wasm", "weight": 3, "metric": "ColdStart ns/op", "limit": 1e7}
	]}`
	want := costmodel.Framework{Outweigh: 3, Rules: []costmodel.Rule{
		{Name: "gpu", For: costmodel.Container, Weight: 1, Must: true, Reason: "r", Source: "s"},
		{Name: "answers", For: costmodel.Wasm, Weight: 2.5, Group: "g", Metric: "HTTP req/s", Higher: true, Margin: 1.5},
		{Name: "cold-start", For: costmodel.Wasm, Weight: 3, Metric: "ColdStart ns/op", Limit: 1e7},
	}}
	if f, err := costmodel.ReadFramework(strings.NewReader(own)); err != nil || !reflect.DeepEqual(f, want) {
		t.Errorf("%+v, %v", f, err)
	}
}

func TestReadFrameworkRefuses(t *testing.T) {
	const rule = `{"name": "a", "for": "wasm", "weight": 1}`
	tests := []struct{ name, text, says string }{
		{"empty text", ``, "EOF"},
		{"no rules", `{"outweigh": 2, "rules": []}`, "without a rule"},
		{"no table", `[` + rule + `]`, "cannot unmarshal"},
		{"something after it", `{"outweigh": 2, "rules": [` + rule + `]} {}`, "after its end"},
		{"unknown field", `{"outweigh": 2, "rules": [{"name": "a", "for": "wasm", "wieght": 1}]}`, `"wieght"`},
		{"no outweigh", `{"rules": [` + rule + `]}`, "it takes more than 1"},
		{"no weight", `{"outweigh": 2, "rules": [{"name": "a", "for": "wasm"}]}`, "a has a weight of 0"},
		{"no side", `{"outweigh": 2, "rules": [{"name": "a", "weight": 1}]}`, `a is for ""`},
		{"hybrid", `{"outweigh": 2, "rules": [{"name": "a", "for": "hybrid", "weight": 1}]}`, `a is for "hybrid"`},
		{"twice", `{"outweigh": 2, "rules": [` + rule + `, ` + rule + `]}`, "a is there twice"},
		{"a metric alone", `{"outweigh": 2, "rules": [{"name": "a", "for": "wasm", "weight": 1, "metric": "M"}]}`, "neither a limit nor a margin"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, err := costmodel.ReadFramework(strings.NewReader(tt.text))
			if !errors.Is(err, costmodel.ErrInput) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%+v, %v, want an error that says %q", f, err, tt.says)
			}
		})
	}
}
