// The driver of servers: HTTP on the address in the first argument.
const http = require('node:http');

const address = String(process.argv[2]);
const [, host, port] = /^\[?(.*?)\]?:([0-9]+)$/.exec(address) ?? [];

function fail(message) {
	console.error(`server: listening on ${address}: ${message}`);
	process.exit(1);
}

const server = http.createServer((request, response) => {
	if (request.url !== '/') {
		response.writeHead(404).end();
		return;
	}
	if (request.method !== 'POST') {
		response.writeHead(405, { Allow: 'POST' }).end();
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
