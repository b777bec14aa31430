// dataprocessor: the request is a column of a batch of numbers, row by row, the
// answer the sum of that column, which is below 2^53 and so exact.
const columns = 16;
const block = 65536;
const blocks = 64;

function scatter(n) {
	n = Math.imul(n, 0x9e3779b1);
	n = Math.imul(n ^ (n >>> 15), 0x85ebca77);
	return (n ^ (n >>> 13)) >>> 0;
}

// makeBatch repeats one block of numbers and marks each copy of it.
function makeBatch() {
	const batch = new Uint32Array(block * blocks);
	for (let i = 0; i < block; i++) {
		batch[i] = scatter(i);
	}
	for (let b = 1; b < blocks; b++) {
		batch.copyWithin(b * block, 0, block);
	}
	for (let b = 0; b < blocks; b++) {
		batch[b * block + (b % columns)] = b;
	}
	return batch;
}

let batch;

function answer(request) {
	batch ??= makeBatch();
	const text = request.toString('latin1');
	if (!/^[0-9]{1,9}$/.test(text) || Number(text) >= columns) {
		return Buffer.from('no such column');
	}
	let sum = 0;
	for (let i = Number(text); i < batch.length; i += columns) {
		sum += batch[i];
	}
	return Buffer.from(String(sum));
}
