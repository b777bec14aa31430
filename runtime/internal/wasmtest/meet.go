package wasmtest

// Meet returns a reactor that is asked two names of one byte each, makes a file
// of the first in its directory and answers with the request when there is one
// of the second: instances that name each other's files answer only if they are
// called at the same time.
func Meet() []byte {
	const (
		directory = 3  // the first that a guest is given
		first     = 16 // addresses of the request
		second    = 17
		opened    = 8 // address of the descriptor
		create    = 1
	)
	open := func(at, how byte) []byte {
		return []byte{
			0x41, directory, 0x41, 0, 0x41, at, 0x41, 1, 0x41, how, // i32.const each
			0x42, 0xc2, 0x00, 0x42, 0, // i64.const: the rights to read and to write
			0x41, 0, 0x41, opened,
			0x10, 0, // call path_open
		}
	}
	code := append(open(first, create), 0x1a, 0x03, 0x40) // drop loop
	code = append(append(code, open(second, 0)...), 0x0d, 0x00, 0x0b)
	return module(
		[]Func{{Name: "path_open", Type: pathOpen}},
		[]Func{{Name: "wasmbench_request", Type: I32ToI32, Code: At16}, {Name: "wasmbench_answer", Type: I32ToI64, Code: append(code, Echo...)}})
}
