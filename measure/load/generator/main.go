// Generator is the process that makes load for package load, which builds and
// starts it. It has the scenarios "exchanges", whose parameters are a list of
// workload.Exchange, and "shop", whose parameters are shop.Options, as JSON.
package main

import "github.com/seed-0132abb7/wasmbench/measure/load"

func main() {
	load.Main(map[string]load.Maker{"exchanges": load.ParseExchanges, "shop": visitShop})
}
