#!/bin/sh
# Rebuilds the modules of the C guests beside their sources, or into the
# directory given. Needs clang, lld, wasi-libc, clang's wasm32 runtime and the headers
# of stb (Debian: clang lld wasi-libc libclang-rt-14-dev-wasm32 libstb-dev).
# The stack is so small that a module begins with one page of memory, and lies below
# the data: what overflows it traps, rather than write over them.
# They are linked by a command without -O, for with it clang has wasm-opt change them
# where one is installed.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here}
compile="clang --target=wasm32-wasi --sysroot=/usr -O2 -Wall -Wextra -Werror -c"
link="clang --target=wasm32-wasi --sysroot=/usr -Wl,--strip-all,--stack-first,-z,stack-size=32768"
cd "$here"
{
	clang --version | sed -n 's/.*\(clang version [0-9.]*\).*/\1/p'
	for header in stb_image stb_image_resize stb_image_write; do
		sed -n '1s/[^a-z]*\([a-z_]* - v[0-9.]*\).*/\1/p' "/usr/include/stb/$header.h"
	done
} >"$out/BUILT_WITH"

objects=$(mktemp -d)
trap 'rm -r "$objects"' EXIT
for source in worker reactor cgi buffer hello fibonacci webapi microservice dataprocessor order parallel boundary load fileio image; do
	$compile -o "$objects/$source.o" "$source.c"
done
$compile -msimd128 -o "$objects/image-simd.o" image.c

cd "$objects"
for guest in hello fibonacci webapi microservice dataprocessor order parallel boundary load fileio image image-simd; do
	$link -o "$out/$guest.command.wasm" worker.o buffer.o "$guest.o"
	$link -mexec-model=reactor -o "$out/$guest.reactor.wasm" reactor.o buffer.o "$guest.o"
done
for guest in hello fibonacci webapi microservice dataprocessor order image image-simd; do
	$link -o "$out/$guest.cgi.wasm" cgi.o buffer.o "$guest.o"
done
