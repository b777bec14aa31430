// fileio: the request is OP NAME SIZE BLOCK COUNT SEED, the answer how many bytes
// of a file the operation moved and the sum of the generations of its pages,
// modulo 2^32; after a random operation also how long each access took.
//
// A file is made of pages: the page's number, its generation, and numbers that
// are the same in each.
const { constants, openSync, closeSync, readSync, writeSync, fsyncSync, unlinkSync } = require('node:fs');
const { getSystemErrorMap } = require('node:util');

const pageSize = 4096;
const pageWords = pageSize / 4;
const mostSize = 2 ** 40;
const mostBlock = 2 ** 26;
const mostCount = 2 ** 22;
const mostSeed = 2 ** 32 - 1;

function scatter(n) {
	n = Math.imul(n, 0x9e3779b1);
	n = Math.imul(n ^ (n >>> 15), 0x85ebca77);
	return (n ^ (n >>> 13)) >>> 0;
}

// cause is an error of the system as strerror words it.
function cause(error) {
	const [, message] = getSystemErrorMap().get(error.errno) ?? [, error.message];
	return message[0].toUpperCase() + message.slice(1);
}

function attempt(what, call, ...args) {
	try {
		return call(...args);
	} catch (error) {
		throw new Error(`${what}: ${cause(error)}`);
	}
}

// The blocks to write and to read have room for the largest yet asked for.
let pattern = new Uint32Array();
let found = new Uint32Array();

function makePattern(size) {
	if (pattern.byteLength < size) {
		pattern = Uint32Array.from({ length: size / 4 }, (_, i) => scatter(i % pageWords));
	}
	return pattern.subarray(0, size / 4);
}

function makeRoom(size) {
	if (found.byteLength < size) {
		found = new Uint32Array(size / 4);
	}
	return found.subarray(0, size / 4);
}

function using(name, flags, run) {
	const fd = attempt(`${flags & constants.O_CREAT ? 'creating' : 'opening'} ${name}`, openSync, name, flags, 0o644);
	let result;
	try {
		result = run(fd);
	} catch (error) {
		closeSync(fd);
		throw error;
	}
	attempt(`closing ${name}`, closeSync, fd);
	return result;
}

function stamp(block, offset, generation) {
	for (let w = 0, page = offset / pageSize; w < block.length; w += pageWords, page++) {
		block[w] = page;
		block[w + 1] = generation;
	}
}

// inspect returns the sum of the generations in a block that was read at offset.
function inspect(name, block, offset) {
	let sum = 0;
	for (let w = 0, page = offset / pageSize; w < block.length; w += pageWords, page++) {
		if (block[w] !== page) {
			throw new Error(`reading ${name}: page ${block[w]} at ${page * pageSize}`);
		}
		sum = (sum + block[w + 1]) >>> 0;
	}
	return sum;
}

// writeAt writes all of a block, of a file to which so many bytes were written.
function writeAt(name, fd, block, offset, written) {
	for (let n = 0; n < block.byteLength;) {
		try {
			n += writeSync(fd, block, n, block.byteLength - n, offset + n);
		} catch (error) {
			throw new Error(`writing ${name}: ${cause(error)} after ${written + n} bytes`);
		}
	}
}

function readAt(name, fd, block, offset) {
	const n = attempt(`reading ${name}`, readSync, fd, block, 0, block.byteLength, offset);
	if (n < block.byteLength) {
		throw new Error(`reading ${name}: short: ${n} of ${block.byteLength} bytes at ${offset}`);
	}
}

const now = process.hrtime.bigint;

function note(times, i, took) {
	times.writeUInt32LE(Math.min(Number(took), 0xffffffff), 4 * i);
}

// place is the offset of the ith random access.
function place({ size, block, seed }, i) {
	return block * (scatter(scatter(seed) + i) % (size / block));
}

// Each operation returns the bytes it moved, the sum of the generations and, where
// it is a random one, the times of its accesses.
const operations = {
	write({ name, size, block, seed }) {
		const pages = makePattern(block);
		using(name, constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC, (fd) => {
			for (let offset = 0; offset < size; offset += block) {
				stamp(pages, offset, seed);
				writeAt(name, fd, pages, offset, offset);
			}
			attempt(`syncing ${name}`, fsyncSync, fd);
		});
		return [size, Math.imul(seed, size / pageSize) >>> 0];
	},

	read({ name, size, block }) {
		const pages = makeRoom(block);
		let sum = 0;
		using(name, constants.O_RDONLY, (fd) => {
			for (let offset = 0; offset < size; offset += block) {
				readAt(name, fd, pages, offset);
				sum = (sum + inspect(name, pages, offset)) >>> 0;
			}
			if (attempt(`reading ${name}`, readSync, fd, pages, 0, block, size) !== 0) {
				throw new Error(`reading ${name}: long: more than ${size} bytes`);
			}
		});
		return [size, sum];
	},

	randread(request) {
		const { name, block, count } = request;
		const pages = makeRoom(block);
		const times = Buffer.allocUnsafeSlow(4 * count);
		let sum = 0;
		using(name, constants.O_RDONLY, (fd) => {
			for (let i = 0; i < count; i++) {
				const offset = place(request, i);
				const before = now();
				readAt(name, fd, pages, offset);
				note(times, i, now() - before);
				sum = (sum + inspect(name, pages, offset)) >>> 0;
			}
		});
		return [block * count, sum, times];
	},

	randwrite(request) {
		const { name, block, count, seed } = request;
		const pages = makePattern(block);
		const times = Buffer.allocUnsafeSlow(4 * count);
		using(name, constants.O_WRONLY, (fd) => {
			for (let i = 0; i < count; i++) {
				const offset = place(request, i);
				stamp(pages, offset, seed);
				const before = now();
				writeAt(name, fd, pages, offset, block * i);
				note(times, i, now() - before);
			}
			attempt(`syncing ${name}`, fsyncSync, fd);
		});
		return [block * count, Math.imul(seed, (block / pageSize) * count) >>> 0, times];
	},

	clock({ count }) {
		for (let i = 0; i < count; i++) {
			now();
			now();
		}
		return [count, 0];
	},

	// A file that is not there is as good as removed.
	remove({ name }) {
		try {
			unlinkSync(name);
		} catch (error) {
			if (error.code !== 'ENOENT') {
				throw new Error(`removing ${name}: ${cause(error)}`);
			}
		}
		return [0, 0];
	},
};

// refuse is the error about a request that is not of the form told.
function refuse(text, form) {
	return new Error(`request "${text.slice(0, 64).replace(/[^ -~]/g, '?')}"${text.length > 64 ? '...' : ''}: want ${form}`);
}

function parse(text) {
	const [, op, name, ...rest] = /^([a-z]+) ([!-~]{1,255}) ([0-9]{1,15}) ([0-9]{1,15}) ([0-9]{1,15}) ([0-9]{1,15})$/.exec(text) ?? [];
	const [size, block, count, seed] = rest.map(Number);
	if (!Object.hasOwn(operations, op ?? '') || !(block >= pageSize) || block > mostBlock || block % pageSize !== 0 ||
		size < block || size > mostSize || size % block !== 0 || count > mostCount || seed > mostSeed) {
		throw refuse(text, 'write, read, randread, randwrite, clock or remove, NAME SIZE BLOCK COUNT SEED, ' +
			`SIZE to ${mostSize} in blocks, BLOCK to ${mostBlock} in pages of ${pageSize}, COUNT to ${mostCount}, SEED to ${mostSeed}`);
	}
	return { op, name, size, block, count, seed };
}

function answer(request) {
	try {
		const wanted = parse(request.toString('latin1'));
		const [bytes, sum, times] = operations[wanted.op](wanted);
		const head = Buffer.from(`${bytes} ${sum}`);
		return times ? Buffer.concat([head, Buffer.from('\n'), times]) : head;
	} catch (error) {
		return Buffer.from(`error: ${error.message}`);
	}
}
