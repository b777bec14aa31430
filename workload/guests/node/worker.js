// The driver of executables: the worker protocol on standard input and output,
// which are read and written without the event loop. A frame is a length in four
// bytes, least significant first, and as many bytes.
const fs = require('node:fs');

const files = [0, 1];
let input = Buffer.allocUnsafeSlow(1 << 16);
let start = 0;
let end = 0;
let output = Buffer.allocUnsafeSlow(1 << 12);

// transfer makes one read or write. A pipe that would not block is opened again
// as one that does, for to wait by looking again would be measured.
function transfer(call, which, flags, buffer, from, to) {
	for (;;) {
		try {
			return call(files[which], buffer, from, to - from, null);
		} catch (error) {
			if (error.code !== 'EAGAIN') {
				throw error;
			}
			files[which] = fs.openSync(`/proc/self/fd/${which}`, flags);
		}
	}
}

// fill reads until size bytes lie at start and tells whether there were so many.
function fill(size) {
	if (start + size > input.length) {
		const larger = size > input.length ? Buffer.allocUnsafeSlow(size) : input;
		input.copy(larger, 0, start, end);
		input = larger;
		end -= start;
		start = 0;
	}
	while (end - start < size) {
		const n = transfer(fs.readSync, 0, 'r', input, end, input.length);
		if (n === 0) {
			return false;
		}
		end += n;
	}
	return true;
}

function write(buffer, size) {
	for (let from = 0; from < size;) {
		from += transfer(fs.writeSync, 1, 'w', buffer, from, size);
	}
}

write(Buffer.from('wb1\n'), 4);
while (fill(4)) {
	const size = input.readUInt32LE(start);
	start += 4;
	if (!fill(size)) {
		throw new Error('worker: the input ended within a request');
	}
	const a = answer(input.subarray(start, start + size));
	start += size;
	if (4 + a.length > output.length) {
		output = Buffer.allocUnsafeSlow(4 + a.length);
	}
	output.writeUInt32LE(a.length);
	a.copy(output, 4);
	write(output, 4 + a.length);
}
if (start !== end) {
	throw new Error('worker: the input ended within a length');
}
