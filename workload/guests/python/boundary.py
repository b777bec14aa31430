"""boundary: the request is `echo`, `syscall N` or `loop N`, the answer the same
word, the number of system calls made, or the last number of a sequence."""

import os

MOST = (1 << 31) - 1


class Failure(Exception):
    """What is answered in place of a result."""


def call_out(n):
    parent = os.getppid()
    for i in range(1, n):
        if os.getppid() != parent:
            raise Failure(f"syscall {n}: call {i + 1} was not answered as the first")
    return n


def loop(n):
    x = 1
    for _ in range(n):
        x ^= x << 13 & 0xFFFFFFFF
        x ^= x >> 17
        x ^= x << 5 & 0xFFFFFFFF
    return x


OPERATIONS = {"syscall": call_out, "loop": loop}


def refuse(text, form):
    """Returns the failure of a request that is not of the form told."""
    return Failure(f"request {text[:64]!a}{'...' if len(text) > 64 else ''}: want {form}")


def reply(text):
    if text == "echo":
        return "echo"
    op, _, digits = text.partition(" ")
    if op not in OPERATIONS or not digits.isdecimal() or len(digits) > 15 or not 1 <= int(digits) <= MOST:
        raise refuse(text, f"echo, syscall N or loop N, N from 1 to {MOST}")
    return str(OPERATIONS[op](int(digits)))


def answer(request):
    try:
        return reply(request.decode("latin1")).encode()
    except Failure as failure:
        return f"error: {failure}".encode()
