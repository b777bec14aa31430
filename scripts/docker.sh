#!/bin/sh
# Gets Docker's daemon where there is none: from the packages of Debian or
# Ubuntu, into a directory of the user's cache, where the runtime "docker" finds
# it. Nothing is installed, started or enabled, and no packet filter is touched:
# the packages' own scripts do not run. As another user than root, for whom no
# daemon can be started, or elsewhere it says so and ends well.
set -eu
export LC_ALL=C # what apt and ldd say is read here

absent() {
	echo "wasmbench: no dockerd: $1; the runtime docker will be absent" >&2
	exit 0
}

# The runtime takes a containerd from beside dockerd or from PATH.
if dockerd=$(command -v dockerd); then
	[ -x "$(dirname "$dockerd")/containerd" ] || command -v containerd >/dev/null ||
		absent "there is no containerd for $dockerd: install containerd"
	exit 0
fi
# A socket may be left of a daemon that is gone: somebody has to listen at it.
listens() {
	awk '$4 == "00010000" && $8 ~ "^(/var)?/run/docker[.]sock$" { found = 1 } END { exit !found }' /proc/net/unix 2>/dev/null
}
if [ -n "${DOCKER_HOST:-}" ] || listens; then
	exit 0
fi
[ -n "${XDG_CACHE_HOME:-}${HOME:-}" ] || exit 0 # the runtime says it
prefix="${XDG_CACHE_HOME:-$HOME/.cache}/wasmbench/docker"
for found in "$prefix"/*/bin/dockerd; do
	[ ! -x "$found" ] || exit 0
done

[ "$(id -u)" -eq 0 ] || absent "getting one takes root"
command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || absent "install Docker, for this is no Debian or Ubuntu"

# What an installation would bring, with the libraries that are missing here,
# but without what only its service needs. containerd and runc are taken even if
# they are installed: they are of one distribution and fit together.
wanted() {
	echo docker.io containerd runc
	apt-get -s install --no-install-recommends docker.io 2>/dev/null | awk '$1 == "Inst" && $2 ~ /^lib/ { print $2 }'
}
# Without the option an update that fails is called a success.
update() { apt-get update -qq -o APT::Update::Error-Mode=any; }
[ -n "$(apt-cache madison docker.io 2>/dev/null)" ] || update || [ -n "$(apt-cache madison docker.io 2>/dev/null)" ] || absent "the lists of packages cannot be fetched"
[ -n "$(apt-cache madison docker.io 2>/dev/null)" ] || absent "the distribution has no package docker.io"

mkdir -p "$prefix"
find "$prefix" -maxdepth 1 -name '.stage.*' -mmin +60 -exec rm -rf {} + # of those killed
stage=$(mktemp -d "$prefix/.stage.XXXXXX")
trap 'rm -rf "$stage"' EXIT
trap 'exit 1' HUP INT TERM
mkdir "$stage/deb" "$stage/tree" "$stage/out"

# apt checks what it downloads against the signed lists. Its user may not write
# to the cache of another.
download() {
	# shellcheck disable=SC2046
	(cd "$stage/deb" && rm -f ./*.deb && apt-get -qq -o APT::Sandbox::User=root download $(wanted) >/dev/null)
}
# Old lists name packages that are there no more.
download 2>/dev/null || { update || :; download; } || absent "its packages cannot be fetched"
for deb in "$stage"/deb/*.deb; do
	dpkg-deb -x "$deb" "$stage/tree" || absent "$(basename "$deb") cannot be unpacked"
done

# Only what runs is kept, half of the size.
mkdir "$stage/out/bin" "$stage/out/lib"
for program in dockerd containerd containerd-shim-runc-v2 runc; do
	find "$stage/tree" -path "*bin/$program" -type f -exec mv {} "$stage/out/bin/" \;
	[ -x "$stage/out/bin/$program" ] || absent "the packages of this distribution bring no $program"
done
find "$stage/tree" -name 'lib*.so*' -exec mv {} "$stage/out/lib/" \;
for program in "$stage"/out/bin/*; do
	lacks=$(LD_LIBRARY_PATH="$stage/out/lib" ldd "$program" 2>/dev/null | awk '/not found/ { print $1 }')
	[ -z "$lacks" ] || absent "$(basename "$program") lacks $lacks"
done
version=$(dpkg-deb -f "$stage"/deb/docker.io_*.deb Version | tr : _) # it becomes part of a search path
chmod 755 "$stage/out"
mv -T "$stage/out" "$prefix/$version" 2>/dev/null || [ -x "$prefix/$version/bin/dockerd" ] || absent "it cannot be put at $prefix/$version"
