// The driver of servers: HTTP on the address in the first argument. Beside the
// guest's answers, GET /memory tells how V8 accounts for its memory, in bytes, as
// process.memoryUsage() does, for nobody outside can see that.
const http = require('node:http');

const address = String(process.argv[2]);
const [, host, port] = /^\[?(.*?)\]?:([0-9]+)$/.exec(address) ?? [];

function fail(message) {
	console.error(`server: listening on ${address}: ${message}`);
	process.exit(1);
}

const methods = new Map([['/', 'POST'], ['/memory', 'GET']]);

const server = http.createServer((request, response) => {
	const method = methods.get(request.url);
	if (request.method !== method) {
		response.writeHead(method ? 405 : 404, method && { Allow: method }).end();
		return;
	}
	if (method === 'GET') {
		response.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify(process.memoryUsage()));
		return;
	}
	const parts = [];
	request.on('data', (part) => parts.push(part));
	request.on('end', () => {
		const body = answer(parts.length === 1 ? parts[0] : Buffer.concat(parts));
		response.writeHead(200, { 'Content-Type': 'application/octet-stream', 'Content-Length': body.length }).end(body);
	});
});
server.on('error', (error) => fail(error.message));
if (!(port < 65536)) {
	fail('it names no port');
}
server.listen(Number(port), host);
