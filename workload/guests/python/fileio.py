"""fileio: the request is OP NAME SIZE BLOCK COUNT SEED, the answer how many bytes
of a file the operation moved and the sum of the generations of its pages,
modulo 2^32; after a random operation also how long each access took.

A file is made of pages: the page's number, its generation, and numbers that are
the same in each.
"""

import os
from array import array
from time import monotonic_ns

PAGE = 4096
WORDS = PAGE // 4
MOST_SIZE = 1 << 40
MOST_BLOCK = 1 << 26
MOST_COUNT = 1 << 22
MOST = 0xFFFFFFFF

pattern = memoryview(array("I"))  # has room for the largest block yet written


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
        raise Failure(f"{what}: {error.strerror}") from error


class File:
    def __init__(self, name, flags):
        self.name = name
        self.written = 0
        self.fd = attempt(f"{'creating' if flags & os.O_CREAT else 'opening'} {name}", os.open, name, flags, 0o644)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        try:
            os.close(self.fd)
        except OSError as failed:
            if error is None:
                raise Failure(f"closing {self.name}: {failed.strerror}") from failed

    def write(self, block, offset):
        n = 0
        while n < len(block):
            try:
                n += os.pwrite(self.fd, block[n:], offset + n)
            except OSError as error:
                raise Failure(f"writing {self.name}: {error.strerror} after {self.written + n} bytes") from error
        self.written += n

    def sync(self):
        attempt(f"syncing {self.name}", os.fsync, self.fd)

    def read(self, size, offset):
        block = attempt(f"reading {self.name}", os.pread, self.fd, size, offset)
        if len(block) < size:
            raise Failure(f"reading {self.name}: short: {len(block)} of {size} bytes at {offset}")
        return block

    def expect_end(self, size, block):
        if attempt(f"reading {self.name}", os.pread, self.fd, block, size):
            raise Failure(f"reading {self.name}: long: more than {size} bytes")


def make_pattern(size, generation):
    """Returns a block of pages of a generation, whose numbers are yet to come."""
    global pattern
    if pattern.nbytes < size:
        pattern = memoryview(array("I", map(scatter, range(WORDS))) * (size // PAGE))
    words = pattern[: size // 4]
    words[1::WORDS] = array("I", [generation]) * (size // PAGE)
    return words


def number(words, offset):
    first = offset // PAGE
    words[::WORDS] = array("I", range(first, first + len(words) // WORDS))


def inspect(name, block, offset):
    """Returns the sum of the generations in a block that was read at offset."""
    words = memoryview(block).cast("I")
    for page, said in enumerate(words[::WORDS], offset // PAGE):
        if said != page:
            raise Failure(f"reading {name}: page {said} at {page * PAGE}")
    return sum(words[1::WORDS])


def places(size, block, count, seed):
    start = scatter(seed)
    return (block * (scatter(start + i & 0xFFFFFFFF) % (size // block)) for i in range(count))


def write(name, size, block, count, seed):
    words = make_pattern(block, seed)
    with File(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) as file:
        for offset in range(0, size, block):
            number(words, offset)
            file.write(words.cast("B"), offset)
        file.sync()
    return size, seed * (size // PAGE), None


def read(name, size, block, count, seed):
    total = 0
    with File(name, os.O_RDONLY) as file:
        for offset in range(0, size, block):
            total += inspect(name, file.read(block, offset), offset)
        file.expect_end(size, block)
    return size, total, None


def random_read(name, size, block, count, seed):
    times = array("I")
    total = 0
    with File(name, os.O_RDONLY) as file:
        for offset in places(size, block, count, seed):
            before = monotonic_ns()
            data = file.read(block, offset)
            after = monotonic_ns()
            times.append(min(after - before, MOST))
            total += inspect(name, data, offset)
    return block * count, total, times


def random_write(name, size, block, count, seed):
    words = make_pattern(block, seed)
    data = words.cast("B")
    times = array("I")
    with File(name, os.O_WRONLY) as file:
        for offset in places(size, block, count, seed):
            number(words, offset)
            before = monotonic_ns()
            file.write(data, offset)
            after = monotonic_ns()
            times.append(min(after - before, MOST))
        file.sync()
    return block * count, seed * (block // PAGE) * count, times


def clock(name, size, block, count, seed):
    for _ in range(count):
        monotonic_ns()
        monotonic_ns()
    return count, 0, None


def remove(name, size, block, count, seed):
    """A file that is not there is as good as removed."""
    try:
        os.unlink(name)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise Failure(f"removing {name}: {error.strerror}") from error
    return 0, 0, None


OPERATIONS = {"write": write, "read": read, "randread": random_read, "randwrite": random_write, "clock": clock, "remove": remove}


def refuse(text, form):
    """Returns the failure of a request that is not of the form told."""
    return Failure(f"request {text[:64]!a}{'...' if len(text) > 64 else ''}: want {form}")


def parse(text):
    fields = text.split(" ")
    if len(fields) == 6 and all(f.isdecimal() and len(f) < 16 for f in fields[2:]):
        op, name = fields[:2]
        size, block, count, seed = map(int, fields[2:])
        named = op in OPERATIONS and 0 < len(name) < 256 and all("!" <= c <= "~" for c in name)
        divided = PAGE <= block <= MOST_BLOCK and block % PAGE == 0 and block <= size <= MOST_SIZE and size % block == 0
        if named and divided and count <= MOST_COUNT and seed <= MOST:
            return OPERATIONS[op], (name, size, block, count, seed)
    form = "write, read, randread, randwrite, clock or remove, NAME SIZE BLOCK COUNT SEED, "
    form += f"SIZE to {MOST_SIZE} in blocks, BLOCK to {MOST_BLOCK} in pages of {PAGE}, COUNT to {MOST_COUNT}, SEED to {MOST}"
    raise refuse(text, form)


def answer(request):
    try:
        operation, wanted = parse(request.decode("latin1"))
        moved, total, times = operation(*wanted)
    except Failure as failure:
        return f"error: {failure}".encode()
    head = b"%d %d" % (moved, total & 0xFFFFFFFF)
    return head if times is None else head + b"\n" + times.tobytes()
