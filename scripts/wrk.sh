#!/bin/sh
# Sets this project's load generator beside wrk: both ask the native server of the
# guest hello in Go the same, PAIRS times one after the other, for SECONDS_EACH seconds
# over as many CONNECTIONS, each with one request under way. Of the requests a second
# it is the median. Exits with 1 where the generator's is below 0.8 of wrk's or where
# a request failed.
#
#	scripts/wrk.sh
#
# PAIRS=7, SECONDS_EACH=5, CONNECTIONS=100 and THREADS=1, those of wrk, can be set: on
# two processors, which the server and the client share, wrk is fastest with one.
# Needs wrk, go and python3.
#
# The generator checks the status and the length of every answer and the content of
# each 16th, and takes the time of each; wrk parses answers and takes their time, and
# counts those whose status is 400 or more. The processor time is what client and server
# had by the kernel's account in the whole of a turn, per request.
set -eu
cd "$(dirname "$0")/.."
pairs=${PAIRS:-7} seconds=${SECONDS_EACH:-5} connections=${CONNECTIONS:-100} threads=${THREADS:-1}
for tool in wrk python3 go; do
	command -v $tool >/dev/null || {
		echo "wrk.sh: $tool is not on PATH: install it (Debian: apt-get install wrk python3 golang)" >&2
		exit 1
	}
done

work=$(mktemp -d "${TMPDIR:-/tmp}/wasmbench-wrk-XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
go build -tags server -o "$work/server" ./workload/guests/go/hello
go build -o "$work/generator" ./measure/load/generator
cat >"$work/post.lua" <<'EOF_LUA'
wrk.method = "POST"
wrk.body = "World"
EOF_LUA

python3 - "$work" "$pairs" "$seconds" "$connections" "$threads" <<'EOF_PYTHON'
import base64, json, os, re, socket, statistics, subprocess, sys, time

work = sys.argv[1]
pairs, seconds, connections, threads = map(int, sys.argv[2:])
ticks = os.sysconf("SC_CLK_TCK")


def by_wrk(address):
    client = subprocess.Popen(
        ["wrk", f"-t{threads}", f"-c{connections}", f"-d{seconds}s", "-s", f"{work}/post.lua", f"http://{address}/"],
        stdout=subprocess.PIPE, text=True)
    said = client.stdout.read()
    used = reap(client)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", said)
    failed = re.search(r"Non-2xx.*|Socket errors.*", said)
    if not rate or failed:
        sys.exit(f"wrk.sh: wrk: {failed[0] if failed else said}")
    return float(rate[1]), int(re.search(r"(\d+) requests in", said)[1]), used


def by_generator(address):
    text = lambda s: base64.b64encode(s.encode()).decode()
    task = {
        "plan": {"addresses": [address], "connections": connections, "duration": seconds * 10**9},
        "scenario": "exchanges",
        "parameters": [{"method": "POST", "target": "/", "body": text("World"), "status": 200, "answer": text("Hello, World!")}],
    }
    client = subprocess.Popen([f"{work}/generator"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    client.stdin.write(json.dumps(task) + "\n")
    client.stdin.flush()  # and stays open: its end would be that of the run
    message = {}
    for line in client.stdout:
        message = json.loads(line)
    used = reap(client)
    result = message.get("result")
    if not result or result["failed"]:
        sys.exit(f"wrk.sh: the generator: {message}")
    return result["requests"] / (result["elapsed"] / 1e9), result["requests"], used


def reap(client):
    """The processor time of a process that has closed its output, in seconds."""
    _, status, used = os.wait4(client.pid, 0)
    client.returncode = os.waitstatus_to_exitcode(status)
    return used.ru_utime + used.ru_stime


def of_server():
    fields = open(f"/proc/{server.pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / ticks


with socket.create_server(("127.0.0.1", 0)) as free:
    address = "127.0.0.1:%d" % free.getsockname()[1]
server = subprocess.Popen([f"{work}/server", address])
try:
    until = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(address.split(":")).close()
            break
        except ConnectionRefusedError:
            if server.poll() is not None or time.monotonic() > until:
                sys.exit("wrk.sh: the server does not listen")
            time.sleep(0.01)
    rates, client_cpu, server_cpu = ({by: [] for by in (by_generator, by_wrk)} for _ in range(3))
    for pair in range(pairs):
        for by in (by_generator, by_wrk) if pair % 2 else (by_wrk, by_generator):
            before = of_server()
            rate, requests, used = by(address)
            rates[by].append(rate)
            client_cpu[by].append(used / requests)
            server_cpu[by].append((of_server() - before) / requests)
finally:
    server.kill()

for by in (by_generator, by_wrk):
    print(f"{by.__name__[3:]:10} {statistics.median(rates[by]):7.0f} req/s   "
          f"client {statistics.median(client_cpu[by]) * 1e6:5.1f} µs/req   server {statistics.median(server_cpu[by]) * 1e6:5.1f} µs/req")
ratio = statistics.median(rates[by_generator]) / statistics.median(rates[by_wrk])
each = [g / w for g, w in zip(rates[by_generator], rates[by_wrk])]
print(f"generator/wrk {ratio:.3f} (pairs {min(each):.3f} to {max(each):.3f})")
sys.exit(ratio < 0.8)
EOF_PYTHON
