package excerpt_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/seed-0132abb7/wasmbench/runtime/internal/excerpt"
)

func TestEndsAreKept(t *testing.T) {
	var w excerpt.Writer
	fmt.Fprintln(&w, "first")
	for range 100 {
		fmt.Fprintln(&w, strings.Repeat("x", 99))
	}
	fmt.Fprintln(&w, "last")
	s := w.String()
	if !strings.HasPrefix(s, "first") || !strings.HasSuffix(s, "last") || len(s) > 2100 {
		t.Errorf("%d bytes are kept: %q", len(s), s)
	}
}
