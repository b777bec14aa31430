package wasmedge

import "slices"

// Modules that import from WASI. Each exports a memory of one page.

// exiting returns a module that is a command and a reactor and calls proc_exit
// with the status in _start and in wasmbench_answer.
func exiting(status byte) []byte {
	return importing(
		[]string{"proc_exit"}, []byte{3}, // (i32) -> ()
		[]byte{0x41, status, 0x10, 0},
		[]byte{0x41, status, 0x10, 0, 0x42, 0}, // and 0 as the answer
	)
}

// talking returns a reactor that writes four bytes to its standard output,
// reads from its standard input and answers with how much it read.
func talking() []byte {
	return importing(
		[]string{"fd_read", "fd_write"}, []byte{4, 4}, // (i32, i32, i32, i32) -> i32
		nil,
		[]byte{
			0x41, 32, 0x41, 0xc0, 0, 0x36, 2, 0, // an iovec at 32: address 64
			0x41, 36, 0x41, 4, 0x36, 2, 0, // length 4
			0x41, 1, 0x41, 32, 0x41, 1, 0x41, 40, 0x10, 1, 0x1a, // fd_write(1, 32, 1, 40)
			0x41, 0, 0x41, 32, 0x41, 1, 0x41, 44, 0x10, 0, 0x1a, // fd_read(0, 32, 1, 44)
			0x42, 4, 0x42, 44, 0x42, 32, 0x86, 0x84, // i64 4 | 44<<32
		},
	)
}

// importing returns a module that imports functions of WASI and exports
// _start, wasmbench_request and wasmbench_answer.
func importing(names []string, types []byte, start, answer []byte) []byte {
	imports, n := []byte{byte(len(names))}, byte(len(names))
	for i, name := range names {
		imports = slices.Concat(imports, vector([]byte("wasi_snapshot_preview1")), vector([]byte(name)), []byte{0, types[i]})
	}
	export := func(name string, kind, index byte) []byte { return append(vector([]byte(name)), kind, index) }
	body := func(code []byte) []byte { return vector(slices.Concat([]byte{0}, code, []byte{0x0b})) }
	return slices.Concat([]byte("\x00asm\x01\x00\x00\x00"),
		section(1, []byte{5, 0x60, 0, 0, 0x60, 1, 0x7f, 1, 0x7f, 0x60, 1, 0x7f, 1, 0x7e, 0x60, 1, 0x7f, 0, 0x60, 4, 0x7f, 0x7f, 0x7f, 0x7f, 1, 0x7f}),
		section(2, imports),
		section(3, []byte{3, 0, 1, 2}),
		section(5, []byte{1, 0, 1}),
		section(7, []byte{4}, export("memory", 2, 0), export("_start", 0, n), export("wasmbench_request", 0, n+1), export("wasmbench_answer", 0, n+2)),
		section(10, []byte{3}, body(start), body([]byte{0x41, 16}), body(answer)),
	)
}

func section(id byte, parts ...[]byte) []byte {
	return append([]byte{id}, vector(slices.Concat(parts...))...)
}

// vector puts the length, of less than 2^14, before the bytes.
func vector(b []byte) []byte {
	return append([]byte{byte(len(b)&0x7f | 0x80), byte(len(b) >> 7)}, b...)
}
