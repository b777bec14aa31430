"""dataprocessor: the request is a column of a batch of numbers, row by row, the
answer the sum of that column."""

import threading
from array import array

COLUMNS = 16
BLOCK = 65536
BLOCKS = 64

making = threading.Lock()
batch = None


def scatter(n):
    n = n * 0x9E3779B1 & 0xFFFFFFFF
    n = (n ^ n >> 15) * 0x85EBCA77 & 0xFFFFFFFF
    return n ^ n >> 13


def make_batch():
    """Repeats one block of numbers and marks each copy of it."""
    batch = array("I", map(scatter, range(BLOCK))) * BLOCKS
    for b in range(BLOCKS):
        batch[b * BLOCK + b % COLUMNS] = b
    return batch


def answer(request):
    global batch
    with making:
        if batch is None:
            batch = make_batch()
    if len(request) > 9 or not request.isdigit() or int(request) >= COLUMNS:
        return b"no such column"
    return str(sum(memoryview(batch)[int(request) :: COLUMNS])).encode()
