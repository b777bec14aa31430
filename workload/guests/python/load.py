"""load: the request is STEPS ROUNDS BLOCKS: how many times to compute so many
rounds and then to write so many blocks, each to disk. The answer is what was
computed last and how many blocks were written and read back."""

import os

FILE = "load.dat"
BLOCK = 4096
PLACES = 256
MOST = (1 << 31) - 1


class Failure(Exception):
    """What is answered in place of a result."""


def scatter(n):
    n = n * 0x9E3779B1 & 0xFFFFFFFF
    n = (n ^ n >> 15) * 0x85EBCA77 & 0xFFFFFFFF
    return n ^ n >> 13


def attempt(what, call, *args):
    try:
        return call(*args)
    except OSError as error:
        raise Failure(f"{what} {FILE}: {error.strerror}") from error


def keep(fd, x, nth):
    """Writes the block that x makes as the nth of the request."""
    at = BLOCK * (nth % PLACES)
    block = x.to_bytes(4, "little") + bytes([x & 255]) * (BLOCK - 4)
    n = 0
    while n < BLOCK:
        try:
            n += os.pwrite(fd, block[n:], at + n)
        except OSError as error:
            raise Failure(f"writing {FILE}: {error.strerror} after {BLOCK * nth + n} bytes") from error
    attempt("syncing", os.fsync, fd)
    back = attempt("reading", os.pread, fd, BLOCK, at)
    if len(back) < BLOCK:
        raise Failure(f"reading {FILE}: short: {len(back)} of {BLOCK} bytes at {at}")
    if back != block:
        raise Failure(f"reading {FILE}: other bytes than were written at {at}")


def run(steps, rounds, blocks, fd):
    x = written = 0
    for _ in range(steps):
        for _ in range(rounds):
            x = scatter(x + 1)
        for _ in range(blocks):
            keep(fd, x, written)
            written += 1
    return f"{x} {written}"


def refuse(text, form):
    """Returns the failure of a request that is not of the form told."""
    return Failure(f"request {text[:64]!a}{'...' if len(text) > 64 else ''}: want {form}")


def reply(text):
    fields = [int(f) for f in text.split(" ") if f.isdecimal() and len(f) < 16]
    if len(fields) != 3 or text.count(" ") != 2 or fields[0] < 1 or max(fields) > MOST:
        raise refuse(text, f"STEPS ROUNDS BLOCKS, each to {MOST}, STEPS from 1")
    steps, rounds, blocks = fields
    if blocks == 0:
        return run(steps, rounds, 0, None)
    fd = attempt("creating", os.open, FILE, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)
    try:
        return run(steps, rounds, blocks, fd)
    finally:
        os.close(fd)
        attempt("removing", os.unlink, FILE)


def answer(request):
    try:
        return reply(request.decode("latin1")).encode()
    except Failure as failure:
        return f"error: {failure}".encode()
