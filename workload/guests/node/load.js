// load: the request is STEPS ROUNDS BLOCKS: how many times to compute so many
// rounds and then to write so many blocks, each to disk. The answer is what was
// computed last and how many blocks were written and read back.
const { openSync, closeSync, readSync, writeSync, fsyncSync, unlinkSync } = require('node:fs');
const { getSystemErrorMap } = require('node:util');

const file = 'load.dat';
const places = 256;
const most = 2 ** 31 - 1;
const block = Buffer.allocUnsafeSlow(4096);
const back = Buffer.allocUnsafeSlow(4096);

function scatter(n) {
	n = Math.imul(n, 0x9e3779b1);
	n = Math.imul(n ^ (n >>> 15), 0x85ebca77);
	return (n ^ (n >>> 13)) >>> 0;
}

// attempt makes a call, and of an error of the system one that tells what was being
// done, worded as strerror does.
function attempt(what, call, ...args) {
	try {
		return call(...args);
	} catch (error) {
		throw failed(what, error);
	}
}

function failed(what, error, more = '') {
	const [, message] = getSystemErrorMap().get(error.errno) ?? [, error.message];
	return new Error(`${what} ${file}: ${message[0].toUpperCase()}${message.slice(1)}${more}`);
}

// keep writes the block that x makes as the nth of the request.
function keep(fd, x, nth) {
	const at = block.length * (nth % places);
	block.fill(x & 255).writeUInt32LE(x);
	for (let n = 0; n < block.length;) {
		try {
			n += writeSync(fd, block, n, block.length - n, at + n);
		} catch (error) {
			throw failed('writing', error, ` after ${block.length * nth + n} bytes`);
		}
	}
	attempt('syncing', fsyncSync, fd);
	const n = attempt('reading', readSync, fd, back, 0, back.length, at);
	if (n < back.length) {
		throw new Error(`reading ${file}: short: ${n} of ${back.length} bytes at ${at}`);
	}
	if (!back.equals(block)) {
		throw new Error(`reading ${file}: other bytes than were written at ${at}`);
	}
}

function run(steps, rounds, blocks, fd) {
	let x = 0;
	let written = 0;
	for (let s = 0; s < steps; s++) {
		for (let r = 0; r < rounds; r++) {
			x = scatter(x + 1);
		}
		for (let b = 0; b < blocks; b++) {
			keep(fd, x, written);
			written++;
		}
	}
	return `${x} ${written}`;
}

// refuse is the error about a request that is not of the form told.
function refuse(text, form) {
	return new Error(`request "${text.slice(0, 64).replace(/[^ -~]/g, '?')}"${text.length > 64 ? '...' : ''}: want ${form}`);
}

function reply(text) {
	const fields = /^[0-9]{1,15} [0-9]{1,15} [0-9]{1,15}$/.test(text) ? text.split(' ').map(Number) : [];
	const [steps, rounds, blocks] = fields;
	if (!(steps >= 1) || Math.max(...fields) > most) {
		throw refuse(text, `STEPS ROUNDS BLOCKS, each to ${most}, STEPS from 1`);
	}
	if (blocks === 0) {
		return run(steps, rounds, 0);
	}
	const fd = attempt('creating', openSync, file, 'w+');
	let result;
	try {
		result = run(steps, rounds, blocks, fd);
	} finally {
		closeSync(fd);
		attempt('removing', unlinkSync, file);
	}
	return result;
}

function answer(request) {
	try {
		return Buffer.from(reply(request.toString('latin1')));
	} catch (error) {
		return Buffer.from(`error: ${error.message}`);
	}
}
