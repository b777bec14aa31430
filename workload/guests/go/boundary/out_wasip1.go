package main

//go:wasmimport wasi_snapshot_preview1 args_sizes_get
//go:noescape
func argsSizesGet(count, size *uint32) uint32

// callOut calls an import of the module, and not a function of a library, which
// may know the result from the call before.
func callOut() (result uint32, ok bool) {
	var size uint32
	errno := argsSizesGet(&result, &size)
	return result, errno == 0
}
