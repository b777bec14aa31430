// order: the request is an order as a JSON document, the answer the same order with
// the number and the sum of its items. It is decoded into objects and encoded from
// these.
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

const between = (value, most) => Number.isInteger(value) && value >= 1 && value <= most;
const isText = (value) => typeof value === 'string' && value !== '';

// flaw returns what the order lacks, or undefined.
function flaw(order) {
	if (!between(order?.id, 999999999999999)) {
		return 'id: want an integer from 1 to 999999999999999';
	}
	if (!between(order.customer?.id, 999999999999999)) {
		return 'customer.id: want an integer from 1 to 999999999999999';
	}
	if (!isText(order.customer.name)) {
		return 'customer.name: want a text';
	}
	if (!isText(order.customer.email)) {
		return 'customer.email: want a text';
	}
	if (!Array.isArray(order.items) || !between(order.items.length, 1000)) {
		return 'items: want 1 to 1000';
	}
	for (const [n, item] of order.items.entries()) {
		const lacks = flawOfItem(item);
		if (lacks) {
			return `items[${n}].${lacks}`;
		}
	}
	return typeof (order.note ?? '') === 'string' ? undefined : 'note: want a text';
}

function flawOfItem(item) {
	if (!isText(item?.sku)) {
		return 'sku: want a text';
	}
	if (!isText(item.name)) {
		return 'name: want a text';
	}
	if (!between(item.quantity, 10000)) {
		return 'quantity: want an integer from 1 to 10000';
	}
	return between(item.cents, 100000000) ? undefined : 'cents: want an integer from 1 to 100000000';
}

function makeReceipt({ id, customer, items, note }) {
	return {
		id,
		customer: { id: customer.id, name: customer.name, email: customer.email },
		items: items.map(({ sku, name, quantity, cents }) => ({ sku, name, quantity, cents })),
		note: note ?? '',
		count: items.length,
		total: items.reduce((sum, { quantity, cents }) => sum + quantity * cents, 0),
	};
}

function answer(request) {
	let order;
	try {
		order = JSON.parse(decoder.decode(request));
	} catch (error) {
		return Buffer.from(`error: ${error.message}`);
	}
	const lacks = flaw(order);
	return Buffer.from(lacks ? `error: ${lacks}` : JSON.stringify(makeReceipt(order)));
}
