// Package article reads the figures that the article prints, testdata/article.json
// of this project, and checks them against each other: which of its differences,
// ratios, percentages, sums and costs follow from its own other cells. It tells
// nothing of whether they are true; that is what the suite measures.
package article

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
)

// A Figure is one cell of a table, or one number of the text or the code.
type Figure struct {
	Table  string `json:"table"`
	Row    string `json:"row"`
	System string `json:"system"` // container, wasm, native: whose column or claim it is; "" is both or neither
	Metric string `json:"metric"`
	Text   string `json:"text"` // as printed

	// A figure is a Value or a range from Low to High.
	Value float64 `json:"value"`
	Low   float64 `json:"low"`
	High  float64 `json:"high"`
	Unit  string  `json:"unit"` // of the value; a power of ten with it where the article has one, as MB
}

// IsRange tells whether it is a range.
func (f Figure) IsRange() bool { return f.High != 0 }

// Name is table, row, system and metric.
func (f Figure) Name() string {
	var parts []string
	for _, p := range []string{f.Table, f.Row, f.System, f.Metric} {
		if p != "" {
			parts = append(parts, p)
		}
	}
	return strings.Join(parts, " / ")
}

// ends returns the least and the greatest that it can be.
func (f Figure) ends() (low, high float64) {
	if f.IsRange() {
		return f.Low, f.High
	}
	return f.Value, f.Value
}

// decimals is how many digits the printed value has after its point.
func (f Figure) decimals() int {
	_, after, found := strings.Cut(f.Text, ".")
	if !found {
		return 0
	}
	n := strings.IndexFunc(after, func(r rune) bool { return r < '0' || r > '9' })
	if n < 0 {
		n = len(after)
	}
	return n
}

type key struct{ table, row, system, metric string }

// Figures are all of them.
type Figures struct {
	All []Figure
	at  map[key]Figure
}

// Read reads them. What is not known, what is there twice and a cell that is
// neither a value nor a range is an error.
func Read(r io.Reader) (Figures, error) {
	var fs Figures
	d := json.NewDecoder(r)
	d.DisallowUnknownFields()
	if err := d.Decode(&fs.All); err != nil {
		return Figures{}, fmt.Errorf("the article's figures: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return Figures{}, errors.New("the article's figures: there is something after the end of the list")
	}
	fs.at = make(map[key]Figure, len(fs.All))
	for _, f := range fs.All {
		k := key{f.Table, f.Row, f.System, f.Metric}
		switch _, twice := fs.at[k]; {
		case twice:
			return Figures{}, fmt.Errorf("the article's figures: %s is there twice", f.Name())
		case f.Table == "" || f.Row == "" || f.Metric == "" || f.Text == "" || f.Unit == "":
			return Figures{}, fmt.Errorf("the article's figures: %s lacks its place, text or unit", f.Name())
		case f.Value != 0 && f.IsRange() || f.Value == 0 && f.High <= f.Low:
			return Figures{}, fmt.Errorf("the article's figures: %s is neither a value nor a range", f.Name())
		}
		fs.at[k] = f
	}
	return fs, nil
}

// Find returns the figure of that place.
func (fs Figures) Find(table, row, system, metric string) (Figure, error) {
	f, ok := fs.at[key{table, row, system, metric}]
	if !ok {
		return Figure{}, fmt.Errorf("the article has no figure %s", Figure{Table: table, Row: row, System: system, Metric: metric}.Name())
	}
	return f, nil
}

// round rounds half away from 0, as people do; one part in 10^12 is not a digit
// but what binary fractions are off.
func round(x float64, decimals int) float64 {
	p := math.Pow10(decimals)
	return math.Round(x*p*(1+1e-12)) / p
}

// cut drops the further digits.
func cut(x float64, decimals int) float64 {
	p := math.Pow10(decimals)
	return math.Trunc(x*p*(1+1e-12)) / p
}
