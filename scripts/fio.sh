#!/bin/sh
# Sets the sequential operations of BenchmarkFileIO, by the native guest in C, beside
# fio in the same directory: PAIRS times one after the other, PASSES passes each, and
# of the pairs' throughputs the median. Exits with 1 where they are more than 10 % apart
# or a figure is missing.
#
#	scripts/fio.sh [DIRECTORY]
#
# PAIRS=7, PASSES=10 and SIZE=100 (MiB) can be set. Needs fio, go and python3; reads
# with a cold page cache need root.
#
# What is timed on both sides:
#   - write: a file that is not there is created, written in blocks of 1 MiB and
#     synced. The one before is removed ahead of that. fio makes the file when it
#     opens it (create_on_open, no fallocate), for else it has its full length before
#     the clock; each pass is a process, for fio removes files inside the clock of its
#     loops. Its runtime has the fsync of end_fsync in it and is told in ms, rounded up.
#   - read: the file is read in blocks of 1 MiB, without a hint to the system how
#     (fadvise_hint), from the page cache as it is or, cold, after drop_caches. Of fio
#     it is the sum of the reads' latencies, in ns; the warm passes are loops of one
#     process, as the guest is one.
# The guest's time has its open, its close, the question and the answer in it too.
set -eu
dir=$(cd "${1:-${TMPDIR:-/tmp}}" && pwd)
cd "$(dirname "$0")/.."
pairs=${PAIRS:-7} passes=${PASSES:-10} size=${SIZE:-100}
for tool in fio python3 go; do
	command -v $tool >/dev/null || {
		echo "fio.sh: $tool is not on PATH: install it (Debian: apt-get install fio python3 golang)" >&2
		exit 1
	}
done

work=$(mktemp -d "$dir/wasmbench-fio-XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
go test -c -o "$work/suite" .

# pass OPERATION PAIR.PASS FLAGS... has fio make a pass over the file.
pass() {
	out="$work/$1.$2.json"
	shift 2
	fio --name=pass --filename="$work/data" --bs=1M --size="${size}M" --ioengine=psync \
		--fallocate=none --invalidate=0 --fadvise_hint=0 --output-format=json --output="$out" "$@"
}

cold=
[ ! -w /proc/sys/vm/drop_caches ] || cold=seqread-cold
for pair in $(seq "$pairs"); do
	"$work/suite" -test.run '^$' -test.bench 'FileIO/.*/.*/.*/.*/op=seq.*' -test.benchtime "${passes}x" \
		-runtimes=native -guests=c -file.size="$size" -file.dir="$dir" >"$work/guest.$pair.txt"
	for i in $(seq "$passes"); do
		rm -f "$work/data"
		pass seqwrite "$pair.$i" --rw=write --create_on_open=1 --end_fsync=1
	done
	pass seqread-warm "$pair.all" --rw=read --loops="$passes"
	for i in ${cold:+$(seq "$passes")}; do
		sync
		echo 3 >/proc/sys/vm/drop_caches
		pass seqread-cold "$pair.$i" --rw=read
	done
done

python3 - "$work" "$pairs" seqwrite seqread-warm $cold <<'EOF_PYTHON'
import json, pathlib, re, statistics, sys

work, pairs, operations = pathlib.Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]


def by_guest(operation, pair):
    op, *cache = operation.split("-")
    name = rf"^BenchmarkFileIO/\S*/op={op}{'/cache=' + cache[0] if cache else ''}(-\d+)?\s"
    for line in (work / f"guest.{pair}.txt").read_text().splitlines():
        if re.match(name, line):
            return float(re.search(r"([\d.e+]+) (?:read|write)-B/s", line)[1])
    sys.exit(f"fio.sh: {operation}: the suite has no figure")


def by_fio(operation, pair):
    bytes = seconds = 0
    for file in work.glob(f"{operation}.{pair}.*.json"):
        job = json.loads(file.read_text())["jobs"][0]
        side = job["write" if operation == "seqwrite" else "read"]
        bytes += side["io_bytes"]
        if operation == "seqwrite":
            seconds += (side["runtime"] - 0.5) / 1e3
        else:
            seconds += side["lat_ns"]["mean"] * side["total_ios"] / 1e9
    return bytes / seconds


failed = False
for operation in operations:
    sides = {by: [by(operation, pair) for pair in range(1, pairs + 1)] for by in (by_guest, by_fio)}
    guest, fio = (statistics.median(rates) for rates in sides.values())
    low, *_, high = sorted(g / f for g, f in zip(*sides.values())) * 2
    failed |= abs(guest / fio - 1) > 0.1
    print(f"{operation:12} guest {guest / 1e6:6.0f} MB/s   fio {fio / 1e6:6.0f} MB/s   guest/fio {guest / fio:.3f} (pairs {low:.3f} to {high:.3f})")
sys.exit(failed)
EOF_PYTHON
