#!/bin/sh
# Installs what the Go toolchain does not bring: a C compiler for the C guests,
# for cgo and for runc, and clang's WebAssembly target, with which the committed
# modules are rebuilt. As root on Debian or Ubuntu it installs what is missing;
# elsewhere it says what is missing, and what needs it reports itself absent.
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
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
	echo "wasmbench: not installed, for that takes root and apt:$missing; what needs it will be absent" >&2
	exit 0
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086
apt-get install -qq -y --no-install-recommends $missing >/dev/null
