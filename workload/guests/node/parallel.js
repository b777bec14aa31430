// parallel: the request is KERNEL FROM TO WORKERS, the answer the sum of what the
// kernel makes of the numbers in that range, which is below 2^53 and so exact, and
// how many threads have made it.
//
// The threads are kept, for to start one takes as long as millions of numbers. No
// event loop turns between requests, so they wait for each other in shared memory.
const { Worker, isMainThread, parentPort, receiveMessageOnPort, threadId, workerData } = require('node:worker_threads');

const mostNumbers = 2 ** 28;
const mostWorkers = 256;
const rounds = 32;

function scatter(n) {
	n = Math.imul(n, 0x9e3779b1);
	n = Math.imul(n ^ (n >>> 15), 0x85ebca77);
	return (n ^ (n >>> 13)) >>> 0;
}

const kernels = {
	sum(numbers) {
		let sum = 0;
		for (let i = 0; i < numbers.length; i++) {
			const y = 2 * numbers[i];
			if (y % 3 === 0) {
				sum += y;
			}
		}
		return sum;
	},
	hash(numbers) {
		let sum = 0;
		for (let i = 0; i < numbers.length; i++) {
			let x = numbers[i];
			for (let r = 0; r < rounds; r++) {
				x = scatter(x + 1);
			}
			sum += x >>> 8;
		}
		return sum;
	},
};

function makeShared(Numbers, length) {
	return new Numbers(new SharedArrayBuffer(Numbers.BYTES_PER_ELEMENT * length));
}

// What all threads see: how many parts each has been given, how many are still to
// be made, and of each its sum and the thread that made it. A thread always makes
// the same part, the main thread the first.
const { board, part } = workerData ?? {
	board: {
		given: makeShared(Int32Array, mostWorkers),
		left: makeShared(Int32Array, 1),
		sums: makeShared(Float64Array, mostWorkers),
		makers: makeShared(Int32Array, mostWorkers),
	},
	part: 0,
};

function work({ kernel, share }) {
	board.sums[part] = kernels[kernel](share);
	board.makers[part] = threadId;
}

// serve is what a thread of its own does, until the process ends.
function serve() {
	for (let taken = 0; ; taken++) {
		Atomics.wait(board.given, part, taken);
		work(receiveMessageOnPort(parentPort).message);
		if (Atomics.sub(board.left, 0, 1) === 1) {
			Atomics.notify(board.left, 0);
		}
	}
}

if (!isMainThread) {
	serve();
}

const threads = [];

function startThreads(count) {
	while (threads.length < count) {
		try {
			const thread = new Worker(__filename, { workerData: { board, part: threads.length + 1 } });
			thread.unref();
			threads.push(thread);
		} catch (error) {
			throw new Error(`${count + 1} workers: starting that with number ${threads.length + 1}: ${error.message}`);
		}
	}
}

let numbers;
let first;

function makeNumbers(from, to) {
	if (first === from && numbers?.length === to - from) {
		return;
	}
	numbers = undefined;
	try {
		numbers = makeShared(Uint32Array, to - from);
	} catch (error) {
		throw new Error(`${to - from} numbers: ${error.message}`);
	}
	first = from;
	for (let i = 0; i < numbers.length; i++) {
		numbers[i] = scatter(from + i) >>> 8;
	}
}

function compute(kernel, workers) {
	const border = (k) => Math.floor((numbers.length * k) / workers);
	const task = (k) => ({ kernel, share: numbers.subarray(border(k), border(k + 1)) });
	board.makers.fill(-1);
	Atomics.store(board.left, 0, workers - 1);
	for (let k = 1; k < workers; k++) {
		threads[k - 1].postMessage(task(k));
		Atomics.add(board.given, k, 1);
		Atomics.notify(board.given, k);
	}
	work(task(0));
	for (let left; (left = Atomics.load(board.left, 0)) !== 0;) {
		Atomics.wait(board.left, 0, left);
	}
	const sum = board.sums.subarray(0, workers).reduce((a, b) => a + b);
	const made = new Set(board.makers.filter((id) => id >= 0)).size;
	return `${sum} ${made}`;
}

// refuse is the error about a request that is not of the form told.
function refuse(text, form) {
	return new Error(`request "${text.slice(0, 64).replace(/[^ -~]/g, '?')}"${text.length > 64 ? '...' : ''}: want ${form}`);
}

function reply(text) {
	const [, kernel, ...rest] = /^(sum|hash) ([0-9]{1,15}) ([0-9]{1,15}) ([0-9]{1,15})$/.exec(text) ?? [];
	const [from, to, workers] = rest.map(Number);
	if (!kernel || from >= to || to > mostNumbers || workers < 1 || workers > Math.min(mostWorkers, to - from)) {
		throw refuse(text, `sum or hash, FROM TO WORKERS, FROM < TO <= ${mostNumbers}, WORKERS from 1 to ${mostWorkers} and to TO - FROM`);
	}
	startThreads(workers - 1);
	makeNumbers(from, to);
	return compute(kernel, workers);
}

function answer(request) {
	try {
		return Buffer.from(reply(request.toString('latin1')));
	} catch (error) {
		return Buffer.from(`error: ${error.message}`);
	}
}
