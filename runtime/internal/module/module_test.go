package module_test

import (
	"errors"
	"io/fs"
	"strings"
	"testing"

	"github.com/seed-0132abb7/wasmbench/runtime/internal/module"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/wasmtest"
)

func TestCheck(t *testing.T) {
	whole := wasmtest.Reactor(wasmtest.Echo)
	tests := []struct {
		name   string
		module []byte
		wants  []string
		err    error
		says   string
	}{
		{"whole", whole, []string{"memory", "wasmbench_answer"}, nil, ""},
		{"missing export", whole, []string{"_start"}, module.ErrMissingExport, "_start"},
		{"empty file", nil, nil, module.ErrMalformed, ""},
		{"no module", []byte("#!/bin/sh\n"), nil, module.ErrMalformed, "#!/bin"},
		{"truncated", whole[:len(whole)-3], nil, module.ErrMalformed, "announced"},
		{"truncated in a number", append(whole[:8:8], 10, 0x80), nil, module.ErrMalformed, ""},
		{"too many locals", wasmtest.ManyLocals(), []string{"_start"}, module.ErrLimit, "local variables"},
		{"a hundred million exports announced", append(whole[:8:8], 7, 5, 0xff, 0xff, 0xff, 0xff, 0x0f), nil, module.ErrMalformed, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := wasmtest.Write(t, tt.module)
			err := module.Check(path, "reactor", tt.wants...)
			if !errors.Is(err, tt.err) {
				t.Fatalf("error %v, want %v", err, tt.err)
			}
			if err != nil && (!strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), tt.says)) {
				t.Errorf("error %q does not name the file and %q", err, tt.says)
			}
		})
	}
	if err := module.Check("no/such.wasm", "reactor"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file gave %v", err)
	}
}

func FuzzCheck(f *testing.F) {
	f.Add(wasmtest.Reactor(wasmtest.Echo))
	f.Add(wasmtest.ManyLocals())
	f.Fuzz(func(t *testing.T, b []byte) {
		module.Check(wasmtest.Write(t, b), "command", "_start")
	})
}
