"""parallel: the request is KERNEL FROM TO WORKERS, the answer the sum of what the
kernel makes of the numbers in that range, and how many threads have made it.

CPython runs the bytecode of one thread at a time, for they share one lock: the
threads take turns on one processor, and that is what there is to find.
"""

import threading
from array import array

MOST_NUMBERS = 1 << 28
MOST_WORKERS = 256
ROUNDS = 32

numbers = None
first = None


class Failure(Exception):
    """What is answered in place of a result."""


def scatter(n):
    n = n * 0x9E3779B1 & 0xFFFFFFFF
    n = (n ^ n >> 15) * 0x85EBCA77 & 0xFFFFFFFF
    return n ^ n >> 13


def sum_kernel(part):
    total = 0
    for x in part:
        y = 2 * x
        if y % 3 == 0:
            total += y
    return total


def hash_kernel(part):
    total = 0
    for x in part:
        for _ in range(ROUNDS):
            x = scatter(x + 1)
        total += x >> 8
    return total


KERNELS = {"sum": sum_kernel, "hash": hash_kernel}


def work(kernel, part, made):
    made[threading.current_thread()] = kernel(part)


def compute(kernel, workers):
    view = memoryview(numbers)
    size = len(view)
    made = {}
    parts = [view[size * k // workers : size * (k + 1) // workers] for k in range(workers)]
    threads = []
    try:
        for part in parts[1:]:
            thread = threading.Thread(target=work, args=(kernel, part, made))
            thread.start()
            threads.append(thread)
        work(kernel, parts[0], made)
    except RuntimeError as error:
        raise Failure(f"{workers} workers: starting that with number {len(threads) + 1}: {error}") from error
    finally:
        for thread in threads:
            thread.join()
    return f"{sum(made.values())} {len(made)}"


def refuse(text, form):
    """Returns the failure of a request that is not of the form told."""
    return Failure(f"request {text[:64]!a}{'...' if len(text) > 64 else ''}: want {form}")


def make_numbers(begin, end):
    global numbers, first
    if first == begin and len(numbers) == end - begin:
        return
    numbers = first = None
    try:
        numbers = array("I", (scatter(i) >> 8 for i in range(begin, end)))
    except MemoryError as error:
        raise Failure(f"{end - begin} numbers: no memory") from error
    first = begin


def reply(text):
    kernel, *rest = text.split(" ")
    if kernel in KERNELS and len(rest) == 3 and all(f.isdecimal() and len(f) < 16 for f in rest):
        begin, end, workers = map(int, rest)
        if begin < end <= MOST_NUMBERS and 1 <= workers <= min(MOST_WORKERS, end - begin):
            make_numbers(begin, end)
            return compute(KERNELS[kernel], workers)
    raise refuse(text, f"sum or hash, FROM TO WORKERS, FROM < TO <= {MOST_NUMBERS}, WORKERS from 1 to {MOST_WORKERS} and to TO - FROM")


def answer(request):
    try:
        return reply(request.decode("latin1")).encode()
    except Failure as failure:
        return f"error: {failure}".encode()
