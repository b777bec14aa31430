//go:build cgo

package engine

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestHeaders compiles capi.h together with Wasmtime's own headers. A prototype
// that differs is an error of the compiler; layouts and values are asserted.
func TestHeaders(t *testing.T) {
	cc, err := exec.LookPath("gcc")
	if err != nil {
		t.Skip(err)
	}
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", modulePath).Output()
	if err != nil {
		t.Fatal(err)
	}
	unit := filepath.Join(t.TempDir(), "headers.c")
	if err := os.WriteFile(unit, []byte(comparison()), 0o644); err != nil {
		t.Fatal(err)
	}
	include := filepath.Join(strings.TrimSpace(string(out)), "build", "include")
	compile := exec.Command(cc, "-std=gnu11", "-Wall", "-Werror", "-I", ".", "-isystem", include, "-fsyntax-only", unit)
	if out, err := compile.CombinedOutput(); err != nil {
		t.Errorf("capi.h differs from the headers of wasmtime-go: %v\n%s", err, out)
	}
}

// comparison returns a C source that includes both and asserts the rest.
func comparison() string {
	var b strings.Builder
	b.WriteString("#include <wasi.h>\n#include <wasm.h>\n#include <wasmtime.h>\n#include \"capi.h\"\n")
	assert := func(a, op, b2 string) {
		b.WriteString("_Static_assert(" + a + op + b2 + ", \"" + a + "\");\n")
	}
	for own, theirs := range map[string]string{
		"wb_func":        "wasmtime_func_t",
		"wb_instance_id": "wasmtime_instance_t",
		"wb_memory":      "wasmtime_memory_t",
		"wb_extern":      "wasmtime_extern_t",
		"wb_raw":         "wasmtime_val_raw_t",
		"wb_bytes":       "wasm_byte_vec_t",
		"wb_vec":         "wasm_exporttype_vec_t",
	} {
		assert("sizeof("+own+")", "==", "sizeof("+theirs+")")
		assert("_Alignof("+own+")", ">=", "_Alignof("+theirs+")")
	}
	for _, vec := range []string{"wasm_importtype_vec_t", "wasm_valtype_vec_t"} {
		assert("sizeof(wb_vec)", "==", "sizeof("+vec+")")
	}
	offset := func(typ, field string) string { return "offsetof(" + typ + ", " + field + ")" }
	size := func(typ, field string) string { return "sizeof(((" + typ + " *)0)->" + field + ")" }
	for own, theirs := range map[[2]string][2]string{
		{"wb_func", "store"}:            {"wasmtime_func_t", "store_id"},
		{"wb_func", "self"}:             {"wasmtime_func_t", "__private"},
		{"wb_instance_id", "store"}:     {"wasmtime_instance_t", "store_id"},
		{"wb_instance_id", "self"}:      {"wasmtime_instance_t", "__private"},
		{"wb_memory", "owner.store"}:    {"wasmtime_memory_t", "store_id"},
		{"wb_memory", "owner.instance"}: {"wasmtime_memory_t", "__private1"},
		{"wb_memory", "self"}:           {"wasmtime_memory_t", "__private2"},
		{"wb_extern", "kind"}:           {"wasmtime_extern_t", "kind"},
		{"wb_extern", "of.func"}:        {"wasmtime_extern_t", "of.func"},
		{"wb_extern", "of.memory"}:      {"wasmtime_extern_t", "of.memory"},
		{"wb_raw", "i32"}:               {"wasmtime_val_raw_t", "i32"},
		{"wb_raw", "i64"}:               {"wasmtime_val_raw_t", "i64"},
		{"wb_bytes", "size"}:            {"wasm_byte_vec_t", "size"},
		{"wb_bytes", "data"}:            {"wasm_byte_vec_t", "data"},
		{"wb_vec", "size"}:              {"wasm_exporttype_vec_t", "size"},
		{"wb_vec", "data"}:              {"wasm_exporttype_vec_t", "data"},
	} {
		assert(offset(own[0], own[1]), "==", offset(theirs[0], theirs[1]))
		assert(size(own[0], own[1]), "==", size(theirs[0], theirs[1]))
	}
	for own, theirs := range map[string]string{
		"WB_OPT_SPEED":     "WASMTIME_OPT_LEVEL_SPEED",
		"WB_EXTERN_FUNC":   "WASMTIME_EXTERN_FUNC",
		"WB_EXTERN_MEMORY": "WASMTIME_EXTERN_MEMORY",
		"WB_TYPE_FUNC":     "WASM_EXTERN_FUNC",
		"WB_TYPE_MEMORY":   "WASM_EXTERN_MEMORY",
		"WB_I32":           "WASM_I32",
		"WB_I64":           "WASM_I64",
		"WB_CONTINUE":      "WASMTIME_UPDATE_DEADLINE_CONTINUE",
		"WB_DIR_ALL":       "(WASMTIME_WASI_DIR_PERMS_READ | WASMTIME_WASI_DIR_PERMS_WRITE)",
		"WB_FILE_ALL":      "(WASMTIME_WASI_FILE_PERMS_READ | WASMTIME_WASI_FILE_PERMS_WRITE)",
	} {
		assert("(int)"+own, "==", "(int)"+theirs)
	}
	return b.String()
}
