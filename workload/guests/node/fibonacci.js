// fibonacci: the request is n in decimal, the answer the nth number. A number of
// JavaScript is exact up to 2^53, so up to the 78th.
const most = 78;

function fib(n) {
	return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

function answer(request) {
	const text = request.toString('latin1');
	if (!/^[0-9]+$/.test(text)) {
		return Buffer.from(`${JSON.stringify(text)} is not a number in decimal`);
	}
	if (Number(text) > most) {
		return Buffer.from(`n=${text} is beyond ${most}, the last that is exact in JavaScript`);
	}
	return Buffer.from(String(fib(Number(text))));
}
