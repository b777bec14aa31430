// webapi: the request is the number of a product, the answer the product as JSON.
const products = 4096;
const materials = ['Oak', 'Steel', 'Linen', 'Glass', 'Cork', 'Wool', 'Slate', 'Brass'];
const things = ['lamp', 'chair', 'shelf', 'bowl', 'clock', 'rug', 'tray', 'stool'];
const tags = ['new', 'sale', 'garden', 'kitchen', 'office', 'gift', 'outdoor', 'bedroom'];
const words = ['a', 'light', 'and', 'sturdy', 'piece', 'for', 'every', 'room', 'made', 'by', 'hand', 'in', 'small', 'series', 'with', 'care'];

function scatter(n) {
	n = Math.imul(n, 0x9e3779b1);
	n = Math.imul(n ^ (n >>> 15), 0x85ebca77);
	return (n ^ (n >>> 13)) >>> 0;
}

function makeProduct(_, id) {
	const seed = id * 32;
	const tag = scatter(seed + 28);
	return {
		id,
		name: `${materials[scatter(seed + 24) % 8]} ${things[scatter(seed + 25) % 8]} ${id}`,
		price: 100 + (scatter(seed + 26) % 50000),
		stock: scatter(seed + 27) % 1000,
		tags: [tags[tag % 8], tags[(tag + 1 + (scatter(seed + 29) % 7)) % 8]],
		description: Array.from({ length: 24 }, (_, i) => words[scatter(seed + i) % 16]).join(' '),
	};
}

let catalogue;

function answer(request) {
	catalogue ??= Array.from({ length: products }, makeProduct);
	const text = request.toString('latin1');
	const product = /^[0-9]{1,9}$/.test(text) ? catalogue[Number(text)] : undefined;
	return Buffer.from(product ? JSON.stringify(product) : 'no such product');
}
