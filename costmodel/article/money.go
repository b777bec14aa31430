package article

import (
	"fmt"
	"math"

	"github.com/seed-0132abb7/wasmbench/costmodel"
)

const (
	costs    = "Infrastructure Cost Comparison"
	monthly  = "Monthly Infrastructure Costs"
	yearly   = "Total Cost of Ownership"
	services = 4
)

// platforms are the article's, by system.
var platforms = []struct {
	system  string
	service costmodel.Service
	tco     costmodel.TCO
}{
	{"container", costmodel.ArticleContainer(), costmodel.ArticleContainerTCO()},
	{"wasm", costmodel.ArticleWasm(), costmodel.ArticleWasmTCO()},
}

// money checks monthly costs by the formula. The article does not tell how many
// instances a service needs, so a cost follows if any whole number of hosts has it.
func money(c *checker) {
	implied := map[string]map[string]float64{}
	for _, p := range platforms {
		implied[p.system] = map[string]float64{}
		for _, row := range c.rows(monthly, "savings") {
			f := c.at(monthly, row, p.system, "cost")
			hosts := max(1, math.Round(f.Value/(p.service.Host.USDPerHour*float64(costmodel.ArticleMonth))))
			demand := costmodel.Demand{Instances: int(hosts) * p.service.PerHost}
			bill, err := costmodel.MonthlyCost(p.service, demand, costmodel.ArticleMonth)
			if err != nil {
				c.err = err
				return
			}
			implied[p.system][row] = hosts
			c.equals(f, bill.USD.Value, fmt.Sprintf("the formula with the nearest whole number of hosts, %.0f %s", hosts, p.service.Host.Name))
		}
	}
	worst := c.modulesForContainer()
	for _, row := range c.rows(monthly, "savings") {
		container, wasm := c.at(monthly, row, "container", "cost"), c.at(monthly, row, "wasm", "cost")
		c.equals(c.at(monthly, row, "", "savings"), -percent(container.Value, wasm.Value), "both costs")

		// The same formula is said to get instances that the demand needs. Modules that do
		// less than containers are more, but no table has them do so much less.
		hc, hw := implied["container"][row], implied["wasm"][row]
		nc, nw := hc*float64(platforms[0].service.PerHost), (hw-1)*float64(platforms[1].service.PerHost)+1
		verdict := Follows
		if nw > math.Ceil(nc*worst) {
			verdict = Fails
		}
		c.add(wasm, fmt.Sprintf("the fewest instances on its %.0f hosts, beside the most that the containers are on theirs: one service, one demand, and where a module does least by the tables %s do what a container does", hw, number(worst)),
			fmt.Sprintf("%.0f modules for %.0f containers", nw, nc), verdict)
	}

	// What the demand takes by the article's own table of resources.
	perSecond := c.v(monthly, "heading", "", "requests") * 1e6 / (24 * 60 * 60)
	for _, p := range platforms {
		each := c.v(resources, "heading", "", "requests") / c.v(resources, "Instances", p.system, "resource")
		bill, err := costmodel.MonthlyCost(withRequests(p.service, each), costmodel.Demand{RequestsPerDay: perSecond * 24 * 60 * 60}, costmodel.ArticleMonth)
		if err != nil {
			c.err = err
			return
		}
		c.equals(c.at(monthly, "API Service", p.system, "cost"), bill.USD.Value,
			fmt.Sprintf("the formula with %.1f req/s, which are 10 million a day, and %s req/s for an instance, which the resources for 1000 req/s give", perSecond, number(each)))
	}
}

// modulesForContainer is how many modules do what a container does, by the row that is
// worst for modules of all that tell what is done a second; 1 at least.
func (c *checker) modulesForContainer() float64 {
	most := 1.
	for _, t := range []struct{ name, comparison, metric string }{
		{serversTable, "difference", "requests"}, {shopTable, "improvement", "requests"}, {imagesTable, "notes", "operations"},
	} {
		for _, row := range c.rows(t.name, t.comparison) {
			most = max(most, c.v(t.name, row, "container", t.metric)/c.v(t.name, row, "wasm", t.metric))
		}
	}
	return most
}

func withRequests(s costmodel.Service, each float64) costmodel.Service {
	s.Capacity.Requests = costmodel.Exactly(each)
	return s
}

func ownership(c *checker) {
	var totals [2]float64
	for i, p := range platforms {
		var months float64
		for _, row := range c.rows(monthly, "savings") {
			months += c.v(monthly, row, p.system, "cost")
		}
		c.equals(c.at(yearly, "Infrastructure", p.system, "cost"), 12*months, fmt.Sprintf("twelve times the sum of the %d monthly costs", services))
		host := p.service.Host.USDPerHour * float64(costmodel.ArticleMonth)
		hosts := c.v(yearly, "Infrastructure", p.system, "cost") / 12 / host
		c.equals(c.at(yearly, "Infrastructure", p.system, "cost"), 12*host*math.Round(hosts), fmt.Sprintf("twelve times the formula with the nearest whole number of hosts, %.0f %s", math.Round(hosts), p.service.Host.Name))
		total, err := p.tco.Total()
		if err != nil {
			c.err = err
			return
		}
		totals[i] = total.Value
		c.equals(c.at(yearly, "Total TCO", p.system, "cost"), total.Value, "the sum of its parts")
	}
	for _, row := range c.rows(yearly, "difference") {
		c.equals(c.at(yearly, row, "", "difference"), c.v(yearly, row, "wasm", "cost")-c.v(yearly, row, "container", "cost"), "both costs")
	}
	_, saved, err := costmodel.Savings(costmodel.Exactly(totals[0]), costmodel.Exactly(totals[1]))
	if err != nil {
		c.err = err
		return
	}
	c.equals(c.at(yearly, "Savings", "wasm", "savings"), saved.Value, "both totals")
}
