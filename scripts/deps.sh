#!/bin/sh
# Installs what the Go toolchain does not bring: a C compiler for the C guests, for
# cgo and for runc, and the headers of stb for one of them; clang's WebAssembly
# target, with which the committed modules are rebuilt; Node.js and Python for their
# guests, and mmdebstrap, which makes what these lie on in containers; binaryen,
# which makes modules smaller; WasmEdge's library and Docker's daemon, the latter
# two in the user's cache unless they are there. As root on Debian or Ubuntu it
# installs what is missing; elsewhere it says what is missing, and what needs it
# reports itself absent.
set -eu

command -v go >/dev/null || {
	echo "wasmbench: go is not on PATH: install Go $(sed -n 's/^go //p' "$(dirname "$0")/../go.mod") or later" >&2
	exit 1
}

# buildable FLAGS... tells whether clang links a program with these flags.
buildable() {
	probe=$(mktemp -d)
	echo 'int main(void){return 0;}' >"$probe/p.c"
	clang "$@" -o "$probe/p" "$probe/p.c" 2>/dev/null
	status=$?
	rm -r "$probe"
	return $status
}

missing=
command -v gcc >/dev/null || missing="$missing gcc libc6-dev"
if ! buildable -static; then
	missing="$missing clang libc6-dev"
fi
if ! buildable --target=wasm32-wasi --sysroot=/usr; then
	missing="$missing clang lld wasi-libc libclang-rt-dev-wasm32"
fi
optional=
[ -e /usr/include/stb/stb_image.h ] || optional="$optional libstb-dev"
command -v node >/dev/null || optional="$optional nodejs"
command -v python3 >/dev/null || optional="$optional python3"
command -v mmdebstrap >/dev/null || optional="$optional mmdebstrap"
command -v wasm-opt >/dev/null || optional="$optional binaryen"

if ! command -v apt-get >/dev/null || [ "$(id -u)" -ne 0 ]; then
	[ -z "$missing$optional" ] ||
		echo "wasmbench: not installed, for that takes root and apt:$missing$optional; what needs it will be absent" >&2
else
	export DEBIAN_FRONTEND=noninteractive
	# The lists of packages are also what mmdebstrap's sources are taken from.
	if [ -n "$missing$optional" ] || [ -z "$(apt-get indextargets 'Created-By: Packages')" ]; then
		apt-get update -qq || echo "wasmbench: apt-get update failed; going on with what apt knows" >&2
	fi
	# shellcheck disable=SC2086
	[ -z "$missing" ] || apt-get install -qq -y --no-install-recommends $missing >/dev/null
	for package in $optional; do
		apt-get install -qq -y --no-install-recommends "$package" >/dev/null ||
			echo "wasmbench: $package could not be installed; what needs it will be absent" >&2
	done
fi

scripts=$(dirname "$0")
"$scripts/libwasmedge.sh"
"$scripts/docker.sh"
