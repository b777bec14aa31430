//go:build cgo && wasmedge

package engine

// #include <stdlib.h>
// #include <wasmedge/wasmedge.h>
import "C"

import (
	"context"
	"errors"
	"fmt"
	"os"
	"unsafe"
)

// level is O2, as it is of "wasmedge compile". A Go guest takes a minute to
// compile at each level but O0, which takes a fifteenth of it for code that runs
// six times as long.
const level = C.WasmEdge_CompilerOptimizationLevel_O2

// Compile writes the machine code of a module to the file artifact, a shared
// object that holds the module too. The interpreter has no use for one.
func (e *Engine) Compile(ctx context.Context, module, artifact string) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if _, err := os.Stat(module); err != nil {
		return fmt.Errorf("opening the module: %w", err)
	}
	conf := C.WasmEdge_ConfigureCreate()
	defer C.WasmEdge_ConfigureDelete(conf)
	C.WasmEdge_ConfigureCompilerSetOptimizationLevel(conf, level)
	C.WasmEdge_ConfigureCompilerSetOutputFormat(conf, C.WasmEdge_CompilerOutputFormat_Native)
	C.WasmEdge_ConfigureCompilerSetInterruptible(conf, C.bool(e.opts.Interruptible))
	compiler := C.WasmEdge_CompilerCreate(conf)
	if compiler == nil {
		return errors.New("this libwasmedge was built without its compiler: install one with LLVM")
	}
	defer C.WasmEdge_CompilerDelete(compiler)
	in, out := C.CString(module), C.CString(artifact)
	defer C.free(unsafe.Pointer(in))
	defer C.free(unsafe.Pointer(out))
	if res := C.WasmEdge_CompilerCompile(compiler, in, out); !C.WasmEdge_ResultOK(res) {
		return fmt.Errorf("compiling %s: %s", module, C.GoString(C.WasmEdge_ResultGetMessage(res)))
	}
	return nil
}
