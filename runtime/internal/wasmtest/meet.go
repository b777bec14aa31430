package wasmtest

// Meet returns a reactor that is asked two names of one byte each, makes a file
// of the first in its directory and answers with the request when there is one
// of the second: instances that name each other's files answer only if they are
// called at the same time.
func Meet() []byte {
	code := append(open(first, create), 0x1a, 0x03, 0x40) // drop loop
	code = append(append(code, open(second, 0)...), 0x0d, 0x00, 0x0b)
	return filing(Func{"wasmbench_request", I32ToI32, At16}, Func{"wasmbench_answer", I32ToI64, append(code, Echo...)})
}

// Spin returns a reactor that never answers a request of four bytes, but makes a
// file of the first of them in its directory before it begins not to, and that
// echoes other requests.
func Spin() []byte {
	code := append([]byte{0x20, 0, 0x41, 4, 0x46, 0x04, 0x40}, open(first, create)...) // if the size is 4
	code = append(code, 0x1a, 0x03, 0x40, 0x0c, 0, 0x0b, 0x0b)                         // drop loop br 0 end end
	return filing(Func{"wasmbench_request", I32ToI32, At16}, Func{"wasmbench_answer", I32ToI64, append(code, Echo...)})
}

// SpinAtStart returns a reactor whose _initialize makes a file of that name, a
// letter, in its directory and never returns.
func SpinAtStart(name byte) []byte {
	code := append([]byte{0x41, first, 0x41}, sleb(int64(name))...)
	code = append(append(code, 0x3a, 0, 0), open(first, create)...) // i32.store8
	code = append(append(code, 0x1a), Loop...)                      // drop
	return filing(
		Func{"_initialize", Void, code},
		Func{"wasmbench_request", I32ToI32, At16}, Func{"wasmbench_answer", I32ToI64, Echo})
}

// filing returns a module whose functions can open files.
func filing(funcs ...Func) []byte {
	return module([]imported{{"wasi_snapshot_preview1", "path_open", pathOpen}}, funcs)
}

const (
	directory = 3  // the first that a guest is given
	first     = 16 // addresses of the request
	second    = 17
	opened    = 8 // address of the descriptor
	create    = 1
)

// open opens the file whose name is the byte at an address, and leaves the result
// on the stack.
func open(at, how byte) []byte {
	return []byte{
		0x41, directory, 0x41, 0, 0x41, at, 0x41, 1, 0x41, how, // i32.const each
		0x42, 0xc2, 0x00, 0x42, 0, // i64.const: the rights to read and to write
		0x41, 0, 0x41, opened,
		0x10, 0, // call path_open
	}
}
