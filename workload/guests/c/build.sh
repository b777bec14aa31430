#!/bin/sh
# Rebuilds the modules of the C guests beside their sources, or into the
# directory given. Needs clang, lld, wasi-libc and clang's wasm32 runtime
# (Debian: clang lld wasi-libc libclang-rt-14-dev-wasm32).
# The stack is so small that a module begins with one page of memory, and lies below
# the data: what overflows it traps, rather than write over them.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here}
flags="--target=wasm32-wasi --sysroot=/usr -O2 -Wall -Wextra -Werror -Wl,--strip-all,--stack-first,-z,stack-size=32768"
cd "$here"
for guest in hello fibonacci webapi microservice dataprocessor order parallel boundary load fileio; do
	clang $flags -o "$out/$guest.command.wasm" worker.c buffer.c "$guest.c"
	clang $flags -mexec-model=reactor -o "$out/$guest.reactor.wasm" reactor.c buffer.c "$guest.c"
done
for guest in hello fibonacci webapi microservice dataprocessor order; do
	clang $flags -o "$out/$guest.cgi.wasm" cgi.c buffer.c "$guest.c"
done
clang --version | sed -n 's/.*\(clang version [0-9.]*\).*/\1/p' >"$out/BUILT_WITH"
