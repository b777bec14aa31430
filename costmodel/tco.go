package costmodel

// A TCO is the total cost of ownership of a service, USD a year.
type TCO struct {
	Infrastructure Range
	Operations     float64
	Development    float64
	Monitoring     float64
}

// ArticleContainerTCO returns the article's figures for containers. Its infrastructure is
// not twelve of its months: package article tells.
func ArticleContainerTCO() TCO {
	return TCO{Infrastructure: Exactly(107640), Operations: 48000, Development: 120000, Monitoring: 12000}
}

// ArticleWasmTCO returns the article's figures for modules.
func ArticleWasmTCO() TCO {
	return TCO{Infrastructure: Exactly(21528), Operations: 24000, Development: 144000, Monitoring: 8000}
}

// WithBill returns the same with twelve months of a bill as infrastructure. With
// MeanMonth they are a year, with ArticleMonth 360 days.
func (t TCO) WithBill(b Bill) TCO {
	t.Infrastructure = b.USD.Scale(12)
	return t
}

// Total is the sum. A part that is negative or not finite is ErrInput, and so are
// parts that are all 0; a single one may be.
func (t TCO) Total() (Range, error) {
	if err := t.Infrastructure.check("infrastructure"); err != nil {
		return Range{}, err
	}
	if err := t.checkPeople(); err != nil {
		return Range{}, err
	}
	total := t.Infrastructure.Plus(Exactly(t.people()))
	if err := total.positive("the total cost of ownership"); err != nil {
		return Range{}, err
	}
	return total, nil
}

// people is what does not depend on the demand.
func (t TCO) people() float64 { return t.Operations + t.Development + t.Monitoring }

func (t TCO) checkPeople() error {
	for _, p := range []struct {
		what string
		usd  float64
	}{{"operations", t.Operations}, {"development", t.Development}, {"monitoring", t.Monitoring}} {
		if !finite(p.usd) || p.usd < 0 {
			return badf("%s for %v USD a year", p.what, p.usd)
		}
	}
	return nil
}
