"""The driver of executables: the worker protocol on standard input and output.

A frame is a length in four bytes, least significant first, and as many bytes.
"""

import os
import sys


def main(answer):
    # What is handed to a container need not block, and would then read nothing.
    os.set_blocking(0, True)
    os.set_blocking(1, True)
    read = sys.stdin.buffer.read
    write = sys.stdout.buffer.write
    flush = sys.stdout.buffer.flush
    write(b"wb1\n")
    flush()
    while head := read(4):
        size = int.from_bytes(head, "little")
        request = read(size)
        if len(head) < 4 or len(request) < size:
            sys.exit("worker: the input ended within a request")
        a = answer(request)
        write(len(a).to_bytes(4, "little") + a)
        flush()
