package wasmtest

// Where Relay and Asking have what the database answers.
const answered = 16 << 10

// Relay returns a reactor that hands its requests to the database of its host and
// answers what that answers: 1 KiB at once, or asked for again up to 48. It traps
// where the request is empty.
func Relay() []byte {
	code := []byte{0x20, 0, 0x45, 0x04, 0x40, 0x00, 0x0b} // unreachable, if the size is 0
	code = append(code, 0x41, 0, 0x41, 16, 0x20, 0)       // i32.const each, local.get
	code = append(append(code, i32(answered)...), i32(1<<10)...)
	code = append(code, 0x10, 0, 0x36, 2, 0)                                                  // call sql, i32.store
	code = append(append(append(code, 0x41, 0, 0x28, 2, 0), i32(1<<10)...), 0x4b, 0x04, 0x40) // i32.load, if it is more
	code = append(append(append(code, 0x41, 0), i32(answered)...), i32(48<<10)...)
	code = append(code, 0x10, 1, 0x36, 2, 0, 0x0b)       // call sql_again, i32.store, end
	code = append(code, 0x41, 0, 0x28, 2, 0, 0xad, 0x42) // i32.load, i64.extend_i32_u, i64.const
	return asking(append(append(code, sleb(answered<<32)...), 0x84))
}

// Replace returns a reactor that puts a link in place of a file of its directory, if it
// can, and then has its database do something. It is asked with the name of the file,
// of 8 bytes, the path that the link is to have, of 21, and what the database is asked.
// It answers what that answers, up to 1 KiB.
func Replace() []byte {
	const name, path = 16, 16 + 8
	code := []byte{0x41, directory, 0x41, name, 0x41, 8, 0x10, 2, 0x1a}                       // path_unlink_file, drop
	code = append(code, 0x41, path, 0x41, 21, 0x41, directory, 0x41, name, 0x41, 8, 0x10, 3)  // path_symlink
	code = append(code, 0x1a, 0x41, path+21, 0x20, 0, 0x41, 8+21, 0x6b)                       // drop, i32.const, local.get, i32.sub
	code = append(append(append(code, i32(answered)...), i32(1<<10)...), 0x10, 0, 0xad, 0x42) // call sql, i64.extend_i32_u, i64.const
	const wasi = "wasi_snapshot_preview1"
	return asking(append(append(code, sleb(answered<<32)...), 0x84),
		imported{wasi, "path_unlink_file", pathUnlinkFile}, imported{wasi, "path_symlink", pathSymlink})
}

// Shown is how many bytes of the database's answer Asking answers with.
const Shown = 60

// Room is where that answer is.
const Room = answered

// Asking returns a reactor that calls the functions of its host's database with
// what its requests are made of: 32-bit numbers, the least significant byte first.
// Two of them are the parameters of sql_again. Four or more are those of sql, and
// what comes after them lies at the address Asked. It answers with what the
// function returns, in four bytes, and as many bytes as Shown from the address
// Room.
func Asking() []byte {
	argument := func(n byte) []byte { return []byte{0x41, 0, 0x28, 2, 16 + 4*n} } // i32.load
	store := append([]byte{}, i32(answered-4)...)
	code := append([]byte{0x20, 0, 0x41, 8, 0x46, 0x04, 0x40}, store...) // if the size is 8
	code = append(append(code, argument(0)...), argument(1)...)
	code = append(code, 0x10, 1, 0x36, 2, 0, 0x05) // call sql_again, i32.store, else
	code = append(code, store...)
	for n := range byte(4) {
		code = append(code, argument(n)...)
	}
	code = append(code, 0x10, 0, 0x36, 2, 0, 0x0b, 0x42) // call sql, i32.store, end, i64.const
	return asking(append(code, sleb((answered-4)<<32|(4+Shown))...))
}

// Asked is the address of what follows the parameters of a request to Asking.
const Asked = 32

// asking returns a reactor with a database, whose functions come before others that it
// imports.
func asking(answer []byte, others ...imported) []byte {
	return module(
		append([]imported{{"wasmbench", "sql", sql}, {"wasmbench", "sql_again", sqlAgain}}, others...),
		[]Func{{"wasmbench_request", I32ToI32, At16}, {"wasmbench_answer", I32ToI64, answer}})
}

// i32 is the instruction i32.const.
func i32(v int64) []byte { return append([]byte{0x41}, sleb(v)...) }
