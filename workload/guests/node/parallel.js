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
const patience = 60_000; // milliseconds in which of the threads yet to start one must

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

// What all threads see: how many have started, how many parts are still to be made,
// and of each part its sum and the thread that made it. Between the main thread and
// each other are that one's calls: 0 until it starts, then 1 and as many as it has
// been given parts; -1 where it has been given up.
const { board, calls } = workerData ?? {
	board: {
		started: makeShared(Int32Array, 1),
		left: makeShared(Int32Array, 1),
		sums: makeShared(Float64Array, mostWorkers),
		makers: makeShared(Int32Array, mostWorkers),
	},
};

function work({ kernel, part, share }) {
	board.sums[part] = kernels[kernel](share);
	board.makers[part] = threadId;
}

// serve is what a thread of its own does, until the process ends.
function serve() {
	if (Atomics.compareExchange(calls, 0, 0, 1) !== 0) {
		process.exit(); // the thread alone: it comes too late
	}
	Atomics.add(board.started, 0, 1);
	Atomics.notify(board.started, 0);
	for (let taken = 1; ; taken++) {
		Atomics.wait(calls, 0, taken);
		work(receiveMessageOnPort(parentPort).message);
		if (Atomics.sub(board.left, 0, 1) === 1) {
			Atomics.notify(board.left, 0);
		}
	}
}

if (!isMainThread) {
	serve();
}

let threads = [];

// startThreads has so many threads run. One that ends before it has started says so
// to the event loop, which does not turn; here it shows by its silence alone.
function startThreads(count) {
	while (threads.length < count) {
		const calls = makeShared(Int32Array, 1);
		try {
			const thread = new Worker(__filename, { workerData: { board, calls } });
			thread.on('error', () => {}); // told long before
			thread.unref();
			threads.push({ thread, calls });
		} catch (error) {
			throw new Error(`${count + 1} workers: starting that with number ${threads.length + 1}: ${error.message}`);
		}
	}
	for (let started; (started = Atomics.load(board.started, 0)) < threads.length;) {
		if (Atomics.wait(board.started, 0, started, patience) === 'timed-out') {
			const wanted = threads.length;
			threads = threads.filter(({ calls }) => Atomics.compareExchange(calls, 0, 0, -1) !== 0);
			throw new Error(`${count + 1} workers: ${started} of the ${wanted} threads beside the first have started, and none in ${patience / 1000} s, ` +
				'as where open files or memory are limited');
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
	const task = (k) => ({ kernel, part: k, share: numbers.subarray(border(k), border(k + 1)) });
	board.makers.fill(-1);
	Atomics.store(board.left, 0, workers - 1);
	for (let k = 1; k < workers; k++) {
		const { thread, calls } = threads[k - 1];
		thread.postMessage(task(k));
		Atomics.add(calls, 0, 1);
		Atomics.notify(calls, 0);
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
