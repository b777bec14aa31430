package main

import (
	"encoding/json"

	"github.com/seed-0132abb7/wasmbench/measure/load"
	"github.com/seed-0132abb7/wasmbench/workload/shop"
)

// visits are the users of a shop.
type visits struct{ s *shop.Scenario }

func (v visits) User(n int) load.User { return v.s.User(n) }

func visitShop(p load.Parameters) (load.Scenario, error) {
	var o shop.Options
	if err := json.Unmarshal(p, &o); err != nil {
		return nil, err
	}
	s, err := shop.New(o)
	if err != nil {
		return nil, err
	}
	return visits{s}, nil
}
