package costmodel_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/seed-0132abb7/wasmbench/costmodel"
)

func TestReadCatalogue(t *testing.T) {
	const list = `[
		{"name": "t3.medium", "vcpu": 2, "memory_gib": 4, "usd_per_hour": 0.0416, "baseline": 0.2, "surplus_usd": 0.05},
		{"name": "whole", "vcpu": 4, "memory_gib": 8, "usd_per_hour": 0.17}
	]`
	c, err := costmodel.ReadCatalogue(strings.NewReader(list))
	if err != nil {
		t.Fatal(err)
	}
	medium, err := costmodel.ArticleCatalogue().Find("t3.medium")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := c.Find("t3.medium"); err != nil || got != medium {
		t.Errorf("read %+v (%v), and the article's is %+v", got, err, medium)
	}
	if got, err := c.Find("whole"); err != nil || got != (costmodel.InstanceType{Name: "whole", VCPU: 4, MemoryGiB: 8, USDPerHour: 0.17}) {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := c.Find("m5.large"); !errors.Is(err, costmodel.ErrInput) || !strings.Contains(err.Error(), "m5.large") || !strings.Contains(err.Error(), "whole") {
		t.Errorf("a price that is missing: %v", err)
	}
}

func TestReadCatalogueRefuses(t *testing.T) {
	const a = `{"name": "a", "vcpu": 1, "memory_gib": 1, "usd_per_hour": 1}`
	tests := []struct{ name, list, says string }{
		{"empty text", ``, "EOF"},
		{"empty list", `[]`, "without an instance type"},
		{"no list", a, "cannot unmarshal"},
		{"something after it", `[` + a + `] []`, "after its end"},
		{"unknown field", `[{"name": "a", "vcpu": 1, "memory_gib": 1, "usd_per_hour": 1, "eur": 1}]`, `"eur"`},
		{"twice", `[` + a + `,` + a + `]`, "a is there twice"},
		{"no name", `[{"vcpu": 1, "memory_gib": 1, "usd_per_hour": 1}]`, "without a name"},
		{"no price", `[{"name": "a", "vcpu": 1, "memory_gib": 1}]`, "a: USD per hour is 0"},
		{"negative price", `[{"name": "a", "vcpu": 1, "memory_gib": 1, "usd_per_hour": -1}]`, "a: USD per hour is -1"},
		{"price as text", `[{"name": "a", "vcpu": 1, "memory_gib": 1, "usd_per_hour": "1"}]`, "usd_per_hour"},
		{"price beyond a float", `[{"name": "a", "vcpu": 1, "memory_gib": 1, "usd_per_hour": 1e999}]`, "1e999"},
		{"no processors", `[{"name": "a", "memory_gib": 1, "usd_per_hour": 1}]`, "a: vCPU is 0"},
		{"negative memory", `[{"name": "a", "vcpu": 1, "memory_gib": -4, "usd_per_hour": 1}]`, "a: memory in GiB is -4"},
		{"baseline above 1", `[{"name": "a", "vcpu": 1, "memory_gib": 1, "usd_per_hour": 1, "baseline": 2}]`, "a: a baseline of 2"},
		{"baseline without a price beyond", `[{"name": "a", "vcpu": 1, "memory_gib": 1, "usd_per_hour": 1, "baseline": 0.2}]`, "a: baseline 0.2"},
		{"surplus without a baseline", `[{"name": "a", "vcpu": 1, "memory_gib": 1, "usd_per_hour": 1, "surplus_usd": 0.05}]`, "a: baseline 0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := costmodel.ReadCatalogue(strings.NewReader(tt.list))
			if !errors.Is(err, costmodel.ErrInput) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%v, %v, want an error that says %q", c, err, tt.says)
			}
		})
	}
}

func TestSpread(t *testing.T) {
	for _, tt := range []struct {
		windows []float64
		want    costmodel.Range
	}{
		{[]float64{5}, costmodel.Range{Value: 5, Low: 5, High: 5}},
		{[]float64{9, 1}, costmodel.Range{Value: 5, Low: 1, High: 9}},
		{[]float64{3, 9, 1}, costmodel.Range{Value: 3, Low: 1, High: 9}},
	} {
		if got, err := costmodel.Spread(tt.windows...); err != nil || got != tt.want {
			t.Errorf("%v: %v, %v, want %v", tt.windows, got, err, tt.want)
		}
	}
	if _, err := costmodel.Spread(); !errors.Is(err, costmodel.ErrInput) {
		t.Errorf("no windows: %v", err)
	}
}
