package load_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/seed-0132abb7/wasmbench/measure/load"
)

// role makes this program one of those that the tests start.
const role = "WASMBENCH_LOAD_TEST"

func TestMain(m *testing.M) {
	switch os.Getenv(role) {
	case "generator":
		load.Main(map[string]load.Maker{"exchanges": load.ParseExchanges, "affinity": affinityOf, "exits": exits, "hangs": hangs})
	case "harness":
		// It runs a generator on the address in its argument until it is killed.
		os.Setenv(role, "generator")
		plan := load.Plan{Addresses: os.Args[1:2], Duration: time.Hour}
		_, err := load.Generator{Path: self()}.Run(context.Background(), plan, "exchanges", exchanges(hello), load.Events{})
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	default:
		os.Exit(m.Run())
	}
}

func self() string {
	path, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return path
}

// exits is a scenario whose maker is the end of the process.
func exits(load.Parameters) (load.Scenario, error) {
	fmt.Fprintln(os.Stderr, "no way on")
	os.Exit(7)
	return nil, nil
}

// hangs is a scenario whose users never have a request.
func hangs(load.Parameters) (load.Scenario, error) { return hangers{}, nil }

type hangers struct{}

type hanger struct{ load.User }

func (hangers) User(int) load.User { return hanger{} }

func (hanger) Next([]byte, string) []byte { select {} }

func exchanges(e load.Exchanges) load.Parameters {
	b, err := json.Marshal(e)
	if err != nil {
		panic(err)
	}
	return b
}
