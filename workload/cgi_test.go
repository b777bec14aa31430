package workload_test

import (
	"bytes"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/seed-0132abb7/wasmbench/workload"
)

// runCGI runs a module as a CGI program, compiled if that is set, with CONTENT_LENGTH unless length is
// empty, and returns what it wrote.
func runCGI(t *testing.T, module []byte, compiled bool, body, length string) (string, error) {
	t.Helper()
	engine := wazero.NewRuntimeConfigInterpreter()
	if compiled {
		engine = wazero.NewRuntimeConfig()
	}
	r := wazero.NewRuntimeWithConfig(t.Context(), engine)
	defer r.Close(t.Context())
	wasi_snapshot_preview1.MustInstantiate(t.Context(), r)
	var out bytes.Buffer
	config := wazero.NewModuleConfig().WithStdin(strings.NewReader(body)).WithStdout(&out).WithStderr(&out)
	if length != "" {
		config = config.WithEnv("CONTENT_LENGTH", length)
	}
	_, err := r.InstantiateWithConfig(t.Context(), module, config)
	return out.String(), err
}

func TestCGI(t *testing.T) {
	long := strings.Repeat("name", 2000)
	for _, l := range []workload.Language{workload.C, workload.Go} {
		t.Run(string(l), func(t *testing.T) {
			for _, w := range catalogue(t, l) {
				if l == workload.Go && w.Name() != "hello" {
					continue // the driver is one, and each module takes seconds to build
				}
				path, err := w.Artifact(t.Context(), workload.CGI)
				skip(t, err)
				module, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				request := string(w.Request())
				// The race detector makes an interpreter slow, and a compiler too: only
				// guests that do something are the faster for it.
				compiled := w.Name() != "hello"
				out, err := runCGI(t, module, compiled, request+"beyond", strconv.Itoa(len(request)))
				head, body, ok := strings.Cut(out, "\n\n")
				if err != nil || !ok || head != "Content-Type: application/octet-stream" {
					t.Fatalf("the response is %q, %v", out, err)
				}
				if err := w.Check([]byte(body)); err != nil {
					t.Error(err)
				}
				if w.Name() != "hello" {
					continue
				}
				if out, err := runCGI(t, module, compiled, long, strconv.Itoa(len(long))); err != nil || !strings.HasSuffix(out, "\n\nHello, "+long+"!") {
					t.Errorf("a long request: %d bytes, %v", len(out), err)
				}
				if out, err := runCGI(t, module, compiled, "name", ""); err != nil || !strings.HasSuffix(out, "\n\nHello, !") {
					t.Errorf("without a length: %q, %v", out, err)
				}
				for _, length := range []string{"5", "many"} {
					if out, err := runCGI(t, module, compiled, "name", length); err == nil {
						t.Errorf("a length of %s with 4 bytes is answered %q", length, out)
					}
				}
			}
		})
	}
}
