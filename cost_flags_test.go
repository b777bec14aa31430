package wasmbench

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/seed-0132abb7/wasmbench/costmodel"
)

// A wrong assumption of costs ends the run before anything is measured.
func TestBadCostFlags(t *testing.T) {
	prices := filepath.Join(t.TempDir(), "prices.json")
	if err := os.WriteFile(prices, []byte(`[{"name":"free","vcpu":2,"memory_gib":2,"usd_per_hour":0}]`), 0o644); err != nil {
		t.Fatal(err)
	}
	tests := []struct{ flag, says string }{
		{"-cost.requests=0", "-cost.requests"},
		{"-cost.requests=+Inf", "-cost.requests"},
		{"-cost.peak=0.5", "1 or more"},
		{"-cost.peak=NaN", "1 or more"},
		{"-cost.speed=0", "-cost.speed"},
		{"-cost.hours=-1", "-cost.hours"},
		{"-cost.headroom=1", "-cost.headroom"},
		{"-cost.base=-1", "-cost.base"},
		{"-cost.base=17592186044416", "-cost.base"},
		{"-cost.base=4096", "leave no host anything"},
		{"-cost.hours=8785", "a whole year"},
		{"-cost.requests=1e15", "-cost.requests=1e+15"},
		{"-cost.peak=1e300", "-cost.peak=1e+300"},
		{"-cost.windows=0", "-cost.windows"},
		{"-cost.time=0", "-cost.time"},
		{"-cost.people=1,2", "three numbers"},
		{"-cost.people=1,2,3,4", "or six"},
		{"-cost.people=1,2,many", "0 or more"},
		{"-cost.people=1,,2", "0 or more"},
		{"-cost.people=1,,2,3", "or six"},
		{"-cost.people=1e308,1e308,1e308", "-cost.people"},
		{"-cost.people=1,2,-3", "0 or more"},
		{"-cost.prices=/no/such/file", "-cost.prices"},
		{"-cost.prices=" + prices, "USD per hour is 0"},
	}
	for _, tt := range tests {
		t.Run(tt.flag, func(t *testing.T) { refuses(t, tt.flag, tt.says) })
	}
}

func TestPeople(t *testing.T) {
	of := func(operations, development, monitoring float64) costmodel.TCO {
		return costmodel.TCO{Operations: operations, Development: development, Monitoring: monitoring}
	}
	tests := []struct {
		flag, runtime string
		want          costmodel.TCO
		unknown       bool
	}{
		{flag: "", runtime: "containerd", want: of(48000, 120000, 12000)},
		{flag: "", runtime: "wasmtime", want: of(24000, 144000, 8000)},
		{flag: "", runtime: "native", unknown: true},
		{flag: "1,2,3", runtime: "docker", want: of(1, 2, 3)},
		{flag: "1,2,3", runtime: "wazero", want: of(1, 2, 3)},
		{flag: "1,2,3", runtime: "native", want: of(1, 2, 3)},
		{flag: "1,2,3,4,5,6", runtime: "runc", want: of(1, 2, 3)},
		{flag: "1,2,3,4,5,6", runtime: "containerd-wasmtime", want: of(4, 5, 6)},
		{flag: "1,2,3,4,5,6", runtime: "native", unknown: true},
	}
	before, people := *flagCostPeople, suite.people
	defer func() { *flagCostPeople, suite.people = before, people }()
	for _, tt := range tests {
		*flagCostPeople = tt.flag
		if err := configurePeople(); err != nil {
			t.Fatal(err)
		}
		if got, known := peopleOf(tt.runtime); got != tt.want || known == tt.unknown {
			t.Errorf("%s with -cost.people=%s: %+v, known %t; want %+v", tt.runtime, tt.flag, got, known, tt.want)
		}
	}
}
