package costmodel

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// ErrInput is in every error about an input that is missing or makes no sense.
var ErrInput = errors.New("bad input")

// Hours are how many a month is charged for.
type Hours float64

const (
	ArticleMonth Hours = 24 * 30       // 720, thirty days, as the article has it
	MeanMonth    Hours = 365 * 24 / 12 // 730, the twelfth part of a year, as providers estimate
)

func (h Hours) check() error {
	if !finite(float64(h)) || h <= 0 {
		return badf("a month of %v hours", float64(h))
	}
	return nil
}

// An InstanceType is a kind of host that can be rented, and its price.
type InstanceType struct {
	Name       string  `json:"name"`
	VCPU       float64 `json:"vcpu"`       // processors that the guest system sees; on t3 each is one hardware thread of a core of two
	MemoryGiB  float64 `json:"memory_gib"` // as the provider tells it; what its own system takes is in Capacity.Base
	USDPerHour float64 `json:"usd_per_hour"`

	// Baseline is the share of each vCPU that the price covers over a day, and
	// SurplusUSD the price of an hour of a vCPU beyond. 0 and 0 is a type whose
	// processors are covered whole. Where they are not, peaks are free as long as
	// the mean stays below.
	Baseline   float64 `json:"baseline"`
	SurplusUSD float64 `json:"surplus_usd"`
}

// MemoryBytes is the memory in bytes.
func (t InstanceType) MemoryBytes() float64 { return t.MemoryGiB * (1 << 30) }

// covered is how many vCPUs the price covers.
func (t InstanceType) covered() float64 {
	if t.Baseline == 0 {
		return t.VCPU
	}
	return t.VCPU * t.Baseline
}

// cheapest is how many hosts of fewest or more cost least if they keep so many vCPUs busy
// on the mean: where a host costs less than the processor time that it covers, there
// are more as long as that is so.
func (t InstanceType) cheapest(fewest int, meanCores float64) int {
	if t.SurplusUSD*t.covered() <= t.USDPerHour {
		return fewest
	}
	// The last one pays if more than its price is beyond what the others cover.
	n := up((meanCores - t.USDPerHour/t.SurplusUSD) / t.covered())
	return max(fewest, int(min(n, mostHosts)))
}

func (t InstanceType) check() error {
	if strings.TrimSpace(t.Name) == "" {
		return badf("an instance type without a name")
	}
	for _, f := range []struct {
		what  string
		value float64
	}{{"USD per hour", t.USDPerHour}, {"vCPU", t.VCPU}, {"memory in GiB", t.MemoryGiB}} {
		if !finite(f.value) || f.value <= 0 {
			return badf("instance type %s: %s is %v: it must be there and be more than 0", t.Name, f.what, f.value)
		}
	}
	switch {
	case !finite(t.Baseline) || t.Baseline < 0 || t.Baseline > 1:
		return badf("instance type %s: a baseline of %v is not a share of a vCPU", t.Name, t.Baseline)
	case !finite(t.SurplusUSD) || t.SurplusUSD < 0:
		return badf("instance type %s: a surplus price of %v", t.Name, t.SurplusUSD)
	case (t.Baseline > 0 && t.Baseline < 1) != (t.SurplusUSD > 0):
		return badf("instance type %s: baseline %v and surplus price %v: a baseline below 1 has a price beyond it, and no other has", t.Name, t.Baseline, t.SurplusUSD)
	}
	return nil
}

// A Catalogue is a list of instance types with their prices.
type Catalogue []InstanceType

// ArticleCatalogue returns the types that the article counts with, at its prices.
// What it does not tell of them, that they are burstable, is added: a fifth of each
// vCPU is covered, and 0.05 USD is the price of an hour beyond (Linux, "unlimited",
// which is how t3 starts unless told otherwise).
func ArticleCatalogue() Catalogue { return Catalogue{t3Medium, t3Small} }

var (
	t3Medium = InstanceType{Name: "t3.medium", VCPU: 2, MemoryGiB: 4, USDPerHour: 0.0416, Baseline: 0.2, SurplusUSD: 0.05}
	t3Small  = InstanceType{Name: "t3.small", VCPU: 2, MemoryGiB: 2, USDPerHour: 0.0208, Baseline: 0.2, SurplusUSD: 0.05}
)

// ReadCatalogue reads a catalogue in JSON: a list of objects with name, vcpu,
// memory_gib, usd_per_hour and, for burstable types, baseline and surplus_usd, as
//
//	[{"name": "t3.small", "vcpu": 2, "memory_gib": 2, "usd_per_hour": 0.0208, "baseline": 0.2, "surplus_usd": 0.05}]
//
// A field that is not known, a type that is
// there twice, a figure that is missing or not above 0, and a baseline below 1 without a
// price of what is beyond are errors.
func ReadCatalogue(r io.Reader) (Catalogue, error) {
	var c Catalogue
	if err := readStrictly(r, &c); err != nil {
		return nil, fmt.Errorf("costmodel: %w: reading prices: %w", ErrInput, err)
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	return c, nil
}

func (c Catalogue) check() error {
	if len(c) == 0 {
		return badf("a catalogue without an instance type")
	}
	seen := map[string]bool{}
	for _, t := range c {
		if err := t.check(); err != nil {
			return err
		}
		if seen[t.Name] {
			return badf("instance type %s is there twice", t.Name)
		}
		seen[t.Name] = true
	}
	return nil
}

// Find returns the type of that name. The error of one that is missing is ErrInput.
func (c Catalogue) Find(name string) (InstanceType, error) {
	i := slices.IndexFunc(c, func(t InstanceType) bool { return t.Name == name })
	if i < 0 {
		var names []string
		for _, t := range c {
			names = append(names, t.Name)
		}
		return InstanceType{}, badf("no price for instance type %q: the catalogue has %s", name, strings.Join(names, ", "))
	}
	return c[i], nil
}

// readStrictly reads one JSON value with nothing unknown in it and nothing after
// it.
func readStrictly(r io.Reader, into any) error {
	d := json.NewDecoder(r)
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("there is something after its end")
	}
	return nil
}
