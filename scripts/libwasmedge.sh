#!/bin/sh
# Installs libwasmedge 0.14 and its headers, which the WasmEdge runtimes are
# linked with, where they are missing: as root the distribution's own package,
# where it has one of 0.14; else the packages of Debian 13 with all that they
# depend on, the C library included, into a directory of the user's cache that
# only wasmbench's WasmEdge host looks into. Takes 180 MB there.
#
# apt checks each package against the archive's signature, by the keys of
# debian-archive-keyring. What is missing is said in a line and is no failure; a
# signature or a checksum that is wrong is one. DEBIAN_MIRROR overrides where the
# packages come from, the mirror that this host's apt uses for Debian.
set -eu
export LC_ALL=C # what apt prints is read here

absent() {
	echo "wasmbench: WasmEdge will be absent: $*" >&2
	exit 0
}

[ -z "${WASMBENCH_LIBWASMEDGE:-}" ] || exit 0
for prefix in /usr /usr/local; do
	grep -qs 'WASMEDGE_VERSION "0\.14\.' "$prefix/include/wasmedge/version.h" || continue
	for library in "$prefix"/lib/libwasmedge.so "$prefix"/lib64/libwasmedge.so "$prefix"/lib/*/libwasmedge.so; do
		[ ! -e "$library" ] || exit 0
	done
done
[ -n "${XDG_CACHE_HOME:-}${HOME:-}" ] || absent "HOME is not set, so there is no cache directory"
home=${XDG_CACHE_HOME:-${HOME:-}/.cache}/wasmbench/libwasmedge
for prefix in "$home"/0.14.*/; do
	[ ! -d "$prefix" ] || exit 0
done

for tool in apt-get apt-cache dpkg dpkg-deb flock; do
	command -v "$tool" >/dev/null || absent "there is no $tool to get libwasmedge with: install libwasmedge 0.14 by hand"
done
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

# candidate tells which version of libwasmedge-dev apt would install, or none.
candidate() {
	apt-cache "$@" policy libwasmedge-dev 2>/dev/null | sed -n 's/^ *Candidate: //p'
}

if [ "$(id -u)" -eq 0 ]; then
	apt-get update -qq || echo "wasmbench: apt-get update failed; going on with what apt knows" >&2
	case $(candidate) in
	0.14.*)
		DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends libwasmedge-dev >/dev/null ||
			absent "apt-get install libwasmedge-dev failed"
		exit 0
		;;
	esac
fi

mkdir -p "$home"
exec 9>"$home/lock"
flock 9
for prefix in "$home"/0.14.*/; do # another process may have made it meanwhile
	[ ! -d "$prefix" ] || exit 0
done
rm -rf "$home"/tmp.*
tmp=$(mktemp -d "$home/tmp.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' HUP INT TERM
mkdir -p "$tmp/state/lists/partial" "$tmp/cache/archives/partial" "$tmp/unpacked"
: >"$tmp/status"

# The host's own settings apply too, such as a proxy, but not its hooks.
cat >"$tmp/apt.conf" <<EOF
#clear APT::Update;
#clear DPkg;
#clear Acquire::IndexTargets::deb::DEP-11;
APT::Update::Error-Mode "any";
APT::Get::AllowUnauthenticated "false";
APT::Sandbox::User "";
Acquire::AllowInsecureRepositories "false";
Acquire::Languages "none";
Dir::State "$tmp/state/";
Dir::State::status "$tmp/status";
Dir::Cache "$tmp/cache/";
Dir::Log "$tmp/";
EOF

# mirror tells where this host's apt has Debian from.
mirror() {
	apt-get "$@" indextargets --format '$(REPO_URI)' 'Origin: Debian' 'Label: Debian' 'Created-By: Packages' 'Component: main' 2>/dev/null | head -n 1
}

uri=${DEBIAN_MIRROR:-$(mirror)}
if [ -z "$uri" ]; then # apt knows no more of a source than it has fetched
	apt-get -c "$tmp/apt.conf" -qq update >/dev/null 2>&1 || true
	uri=$(mirror -c "$tmp/apt.conf")
fi
[ -n "$uri" ] || absent "this host's apt has no mirror of Debian: set DEBIAN_MIRROR to one"
[ -r "$keyring" ] || absent "there are no keys to check Debian's packages by: install debian-archive-keyring"

echo "deb [signed-by=$keyring] $uri trixie main" >"$tmp/sources.list"
cat >>"$tmp/apt.conf" <<EOF
Dir::Etc::sourcelist "$tmp/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
EOF

# fetch runs apt-get on Debian 13's packages alone.
fetch() {
	if apt-get -c "$tmp/apt.conf" -qq -y "$@" >"$tmp/log" 2>&1; then
		return
	fi
	if grep -q -e 'BADSIG' -e 'invalid signature' -e 'Hash Sum mismatch' -e 'not authenticated' -e 'cannot be authenticated' "$tmp/log"; then
		cat "$tmp/log" >&2
		echo "wasmbench: what $uri has as Debian 13 is not what Debian signed; nothing of it was used" >&2
		exit 1
	fi
	! grep -q NO_PUBKEY "$tmp/log" || absent "$keyring has no key of Debian 13: install a newer debian-archive-keyring"
	absent "apt-get $1 of Debian 13's packages from $uri: $(grep '^[EW]:' "$tmp/log" | head -n 1)"
}
fetch update
version=$(candidate -c "$tmp/apt.conf")
case $version in
0.14.*) ;;
*) absent "$uri has libwasmedge-dev ${version:-not at all}, not 0.14" ;;
esac
fetch install --download-only --no-install-recommends libwasmedge-dev

for package in "$tmp"/cache/archives/*.deb; do
	dpkg-deb -x "$package" "$tmp/unpacked"
done
libwasmedge=$(find "$tmp/unpacked" -name libwasmedge.so)
mkdir -p "$tmp/prefix/include" "$tmp/prefix/lib" "$tmp/prefix/share"
mv "$tmp/unpacked/usr/include/wasmedge" "$tmp/prefix/include/"
mv "${libwasmedge%/*}"/*.so* "$tmp/prefix/lib/"
mv "$tmp/unpacked/usr/share/doc" "$tmp/prefix/share/" # the licences
mv -T "$tmp/prefix" "$home/$version"
