// hello: the request is a name, the answer greets it.
const before = Buffer.from('Hello, ');
const after = Buffer.from('!');

function answer(request) {
	return Buffer.concat([before, request, after]);
}
