// microservice: the request is the number of a customer, the answer a summary of
// the customer's orders as JSON.
const orders = 32768;
const customers = 4096;
const statuses = ['new', 'paid', 'packed', 'shipped'];
const streets = ['Station Road', 'Mill Lane', 'High Street', 'Church Walk', 'Park Avenue', 'Bridge End', 'Castle Hill', 'Orchard Way'];
const towns = ['Ashford', 'Burnley', 'Carlisle', 'Dorking', 'Epsom', 'Falmouth', 'Grantham', 'Hereford'];
const calls = ['ring the bell', 'knock twice'];
const places = ['leave it in the porch', 'give it to a neighbour'];
const times = ['not before noon', 'from six onwards'];
const boxes = ['gift wrapped', 'without a box'];

function scatter(n) {
	n = Math.imul(n, 0x9e3779b1);
	n = Math.imul(n ^ (n >>> 15), 0x85ebca77);
	return (n ^ (n >>> 13)) >>> 0;
}

function makeOrder(id) {
	const seed = id * 8;
	const place = scatter(seed + 1);
	const quantity = 1 + (scatter(seed + 2) % 9);
	return {
		id,
		day: Math.floor(id / 32),
		quantity,
		cents: quantity * (100 + (scatter(seed) % 5000)),
		status: statuses[scatter(seed + 4) % 4],
		address: `${10 + (place % 90)} ${streets[(place >>> 8) % 8]}, ${towns[(place >>> 16) % 8]}`,
		// A template would be kept as its parts, in four times the memory.
		note: [calls[(place >>> 24) % 2], places[(place >>> 25) % 2], times[(place >>> 26) % 2], boxes[(place >>> 27) % 2]].join(', '),
	};
}

function makeBook() {
	const book = new Map();
	for (let id = 0; id < orders; id++) {
		const customer = scatter(id * 8 + 3) % customers;
		const those = book.get(customer);
		if (those) {
			those.push(makeOrder(id));
		} else {
			book.set(customer, [makeOrder(id)]);
		}
	}
	return book;
}

let book;

function answer(request) {
	book ??= makeBook();
	const text = request.toString('latin1');
	const customer = Number(text);
	if (!/^[0-9]{1,9}$/.test(text) || customer >= customers) {
		return Buffer.from('no such customer');
	}
	const those = book.get(customer) ?? [];
	const total = those.reduce((sum, order) => sum + order.cents, 0);
	return Buffer.from(JSON.stringify({ customer, orders: those.length, total, last: those.at(-1) ?? null }));
}
