// boundary: the request is `echo`, `syscall N` or `loop N`, the answer the same
// word, the number of system calls made, or the last number of a sequence.
const most = 2 ** 31 - 1;

function callOut(n) {
	const parent = process.ppid; // asks the kernel each time
	for (let i = 1; i < n; i++) {
		if (process.ppid !== parent) {
			throw new Error(`syscall ${n}: call ${i + 1} was not answered as the first`);
		}
	}
	return n;
}

function loop(n) {
	let x = 1;
	for (let i = 0; i < n; i++) {
		x ^= x << 13;
		x ^= x >>> 17;
		x ^= x << 5;
	}
	return x >>> 0;
}

// refuse is the error about a request that is not of the form told.
function refuse(text, form) {
	return new Error(`request "${text.slice(0, 64).replace(/[^ -~]/g, '?')}"${text.length > 64 ? '...' : ''}: want ${form}`);
}

function reply(text) {
	if (text === 'echo') {
		return text;
	}
	const [, op, digits] = /^(syscall|loop) ([0-9]{1,15})$/.exec(text) ?? [];
	const n = Number(digits);
	if (!op || n < 1 || n > most) {
		throw refuse(text, `echo, syscall N or loop N, N from 1 to ${most}`);
	}
	return String(op === 'loop' ? loop(n) : callOut(n));
}

function answer(request) {
	try {
		return Buffer.from(reply(request.toString('latin1')));
	} catch (error) {
		return Buffer.from(`error: ${error.message}`);
	}
}
