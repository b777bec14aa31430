// Generator is the process that makes load for package load, which builds and
// starts it. It has the scenarios "exchanges", whose parameters are a list of
// workload.Exchange, and "shop", whose parameters are shop.Options, as JSON.
package main

import (
	"encoding/json"
	"errors"

	"github.com/seed-0132abb7/wasmbench/measure/load"
)

func main() {
	load.Main(map[string]load.Maker{"exchanges": exchanges, "shop": visitShop})
}

func exchanges(p load.Parameters) (load.Scenario, error) {
	var e load.Exchanges
	if err := json.Unmarshal(p, &e); err != nil {
		return nil, err
	}
	if len(e) == 0 {
		return nil, errors.New("there is none")
	}
	return e, nil
}
