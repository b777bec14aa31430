package measure

import "math"

// A gauge watches one figure that grows, or shrinks, with the instances.
type gauge struct {
	limit      LimitName
	where, fix string
	floor      bool  // what is left is above most rather than below
	most       int64 // what there may be, or must stay
	read       func() (have int64, err error)

	known    bool  // it has been read
	base     int64 // what was left with baseHeld instances
	baseHeld int
	due      int     // with how many held it is read again
	cost     float64 // of an instance, by the last reading
}

// left reads the gauge.
func (g *gauge) left() (have, left int64, err error) {
	have, err = g.read()
	if g.floor {
		return have, have - g.most, err
	}
	return have, g.most - have, err
}

func (g *gauge) reached(have int64) *LimitReached {
	return &LimitReached{Limit: g.limit, Have: have, Most: g.most, Next: int64(math.Ceil(g.cost)), Where: g.where, Fix: g.fix}
}

// check reads the gauge while nothing starts and decides when it is due again:
// when a quarter of the predicted room has been used, and no later than with
// twice as many instances, for few tell little. The average is that of all
// instances but the first, which brings what the others share, or of all since
// the first reading; only the second is predicted by the first.
func (g *gauge) check(held int) error {
	have, left, err := g.left()
	if err != nil {
		return err
	}
	if g.known && held > g.baseHeld {
		g.cost = max(0, float64(g.base-left)/float64(held-g.baseHeld))
	}
	if !g.known || g.baseHeld == 0 {
		g.known, g.base, g.baseHeld = true, left, held
	}
	if !g.fits(left, 1) {
		return g.reached(have)
	}
	room := held // where nothing was taken there is no telling
	if g.cost > 0 {
		room = int(min(float64(left)/g.cost/4, float64(held)))
	}
	g.due = held + max(1, room)
	return nil
}

// fits tells whether n more instances are predicted to stay within the limit.
func (g *gauge) fits(left int64, n int) bool {
	return left > 0 && float64(left) >= g.cost*float64(n)
}
