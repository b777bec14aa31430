/* order: the request is an order as a JSON document, the answer the same order with
 * the number and the sum of its items. It is decoded into records and encoded from
 * these. Memory is kept from call to call, and beside the items it is twice that of
 * the longest request. */
#include "fields.h"

#include <stdlib.h>

enum { ITEMS = 1000, QUANTITY = 10000, CENTS = 100000000, DEPTH = 64, LONGEST = 1 << 24 };

static const uint64_t NUMBER = 999999999999999;

struct item {
	struct bytes sku, name;
	uint64_t quantity, cents;
};

struct customer {
	uint64_t id;
	struct bytes name, email;
};

struct order {
	uint64_t id;
	struct customer customer;
	struct item *items; /* room for some */
	size_t count, room;
	struct bytes note;
};

struct parser {
	const unsigned char *begin, *at, *end;
	unsigned char *strings; /* where the next one is decoded: none is longer than its source */
	const char *wanted;     /* where it failed */
};

static bool fail(struct parser *p, const char *wanted)
{
	if (p->wanted == NULL)
		p->wanted = wanted;
	return false;
}

/* next skips white space and returns the byte after it, or 0 at the end. */
static unsigned char next(struct parser *p)
{
	while (p->at < p->end && (*p->at == ' ' || *p->at == '\n' || *p->at == '\r' || *p->at == '\t'))
		p->at++;
	return p->at < p->end ? *p->at : 0;
}

static bool take(struct parser *p, unsigned char c)
{
	if (next(p) != c || p->at == p->end)
		return false;
	p->at++;
	return true;
}

static bool word(struct parser *p, const char *w)
{
	size_t size = strlen(w);
	if ((size_t)(p->end - p->at) < size || memcmp(p->at, w, size) != 0)
		return false;
	p->at += size;
	return true;
}

static bool null(struct parser *p) { return next(p) == 'n' && word(p, "null"); }

/* sequence moves over one character of UTF-8 that takes more than one byte. */
static bool sequence(struct parser *p)
{
	const unsigned char *s = p->at;
	size_t left = (size_t)(p->end - s), size = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
	unsigned char low = 0x80, high = 0xbf; /* of the second byte */

	if (s[0] < 0xc2 || s[0] > 0xf4 || left < size)
		return false;
	if (s[0] == 0xe0)
		low = 0xa0;
	else if (s[0] == 0xed)
		high = 0x9f;
	else if (s[0] == 0xf0)
		low = 0x90;
	else if (s[0] == 0xf4)
		high = 0x8f;
	if (s[1] < low || s[1] > high)
		return false;
	for (size_t i = 2; i < size; i++)
		if (s[i] < 0x80 || s[i] > 0xbf)
			return false;
	p->at += size;
	return true;
}

static bool hex(struct parser *p, uint32_t *n)
{
	*n = 0;
	if (p->end - p->at < 4)
		return false;
	for (int i = 0; i < 4; i++) {
		unsigned char c = *p->at++, letter = c | 0x20;
		if (c >= '0' && c <= '9')
			*n = *n << 4 | (uint32_t)(c - '0');
		else if (letter >= 'a' && letter <= 'f')
			*n = *n << 4 | (uint32_t)(letter - 'a' + 10);
		else
			return false;
	}
	return true;
}

static unsigned char *utf8(unsigned char *to, uint32_t c)
{
	if (c < 0x80) {
		*to++ = (unsigned char)c;
		return to;
	}
	if (c < 0x800) {
		*to++ = (unsigned char)(0xc0 | c >> 6);
	} else {
		if (c < 0x10000) {
			*to++ = (unsigned char)(0xe0 | c >> 12);
		} else {
			*to++ = (unsigned char)(0xf0 | c >> 18);
			*to++ = (unsigned char)(0x80 | (c >> 12 & 0x3f));
		}
		*to++ = (unsigned char)(0x80 | (c >> 6 & 0x3f));
	}
	*to++ = (unsigned char)(0x80 | (c & 0x3f));
	return to;
}

/* escape decodes what follows a backslash. */
static bool escape(struct parser *p, unsigned char **to)
{
	static const char from[] = "\"\\/bfnrt", means[] = "\"\\/\b\f\n\r\t";
	uint32_t c, low;

	if (p->at == p->end)
		return false;
	unsigned char kind = *p->at++;
	if (kind != 'u') {
		const char *found = kind == '\0' ? NULL : strchr(from, kind);
		if (found == NULL)
			return false;
		*(*to)++ = (unsigned char)means[found - from];
		return true;
	}
	if (!hex(p, &c))
		return false;
	if (c >= 0xd800 && c < 0xe000) {
		if (c >= 0xdc00 || !word(p, "\\u") || !hex(p, &low) || low < 0xdc00 || low >= 0xe000)
			return false;
		c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
	}
	*to = utf8(*to, c);
	return true;
}

static bool string(struct parser *p, struct bytes *s)
{
	unsigned char *begin = p->strings, *to = begin;

	if (!take(p, '"'))
		return fail(p, "a string");
	for (;;) {
		const unsigned char *from = p->at;
		while (p->at < p->end && *p->at != '"' && *p->at != '\\') {
			if (*p->at < ' ')
				return fail(p, "no control character in a string");
			if (*p->at < 0x80)
				p->at++;
			else if (!sequence(p))
				return fail(p, "UTF-8");
		}
		memcpy(to, from, (size_t)(p->at - from));
		to += p->at - from;
		if (p->at == p->end)
			return fail(p, "the end of a string");
		if (*p->at++ == '"')
			break;
		if (!escape(p, &to))
			return fail(p, "an escape that there is");
	}
	*s = (struct bytes){begin, (size_t)(to - begin)};
	p->strings = to;
	return true;
}

static bool digits(struct parser *p)
{
	const unsigned char *from = p->at;
	while (p->at < p->end && *p->at >= '0' && *p->at <= '9')
		p->at++;
	return p->at > from;
}

/* number moves over a number and tells whether it is a whole one that is not
 * negative and has at most fifteen digits. */
static bool number(struct parser *p, bool *whole, uint64_t *n)
{
	bool negative = take(p, '-');
	const unsigned char *from = p->at;

	if (!digits(p) || (*from == '0' && p->at - from > 1))
		return fail(p, "a number");
	*whole = !negative && decimal((struct bytes){from, (size_t)(p->at - from)}, 0, NUMBER, n);
	if (word(p, ".")) {
		*whole = false;
		if (!digits(p))
			return fail(p, "a digit");
	}
	if (word(p, "e") || word(p, "E")) {
		*whole = false;
		if (!word(p, "+"))
			word(p, "-");
		if (!digits(p))
			return fail(p, "a digit");
	}
	return true;
}

static bool integer(struct parser *p, uint64_t *n)
{
	bool whole;

	if (!number(p, &whole, n))
		return false;
	return whole || fail(p, "an integer");
}

/* A reader reads the value of a key into a record, or of none into a list. */
typedef bool reader(struct parser *p, struct bytes key, void *into, int depth);

static bool members(struct parser *p, reader *read, void *into, int depth)
{
	struct bytes key;

	if (!take(p, '{'))
		return fail(p, "an object");
	if (take(p, '}'))
		return true;
	do {
		if (!string(p, &key))
			return false;
		if (!take(p, ':'))
			return fail(p, "a colon");
		if (!read(p, key, into, depth))
			return false;
	} while (take(p, ','));
	return take(p, '}') || fail(p, "a comma or the end of an object");
}

static bool elements(struct parser *p, reader *read, void *into, int depth)
{
	if (!take(p, '['))
		return fail(p, "a list");
	if (take(p, ']'))
		return true;
	do {
		if (!read(p, (struct bytes){NULL, 0}, into, depth))
			return false;
	} while (take(p, ','));
	return take(p, ']') || fail(p, "a comma or the end of a list");
}

/* skip reads a value that no record has. */
static bool skip(struct parser *p, struct bytes key, void *into, int depth)
{
	struct bytes s;
	uint64_t n;
	bool whole;

	(void)key;
	if (depth == DEPTH)
		return fail(p, "no deeper nesting");
	switch (next(p)) {
	case '{':
		return members(p, skip, into, depth + 1);
	case '[':
		return elements(p, skip, into, depth + 1);
	case '"':
		return string(p, &s);
	case 't':
		return word(p, "true") || fail(p, "a value");
	case 'f':
		return word(p, "false") || fail(p, "a value");
	case 'n':
		return word(p, "null") || fail(p, "a value");
	case '-': case '0': case '1': case '2': case '3': case '4': case '5': case '6': case '7': case '8': case '9':
		return number(p, &whole, &n);
	}
	return fail(p, "a value");
}

static bool read_item(struct parser *p, struct bytes key, void *into, int depth)
{
	struct item *i = into;

	if (is(key, "sku"))
		return null(p) || string(p, &i->sku);
	if (is(key, "name"))
		return null(p) || string(p, &i->name);
	if (is(key, "quantity"))
		return null(p) || integer(p, &i->quantity);
	if (is(key, "cents"))
		return null(p) || integer(p, &i->cents);
	return skip(p, key, NULL, depth);
}

static bool read_items(struct parser *p, struct bytes key, void *into, int depth)
{
	struct order *o = into;

	(void)key;
	if (o->count == ITEMS)
		return fail(p, "at most 1000 items");
	if (o->count == o->room) {
		o->room = o->room == 0 ? 16 : 2 * o->room;
		o->items = realloc(o->items, o->room * sizeof *o->items);
		if (o->items == NULL)
			abort();
	}
	struct item *i = &o->items[o->count++];
	*i = (struct item){{NULL, 0}, {NULL, 0}, 0, 0};
	return null(p) || members(p, read_item, i, depth + 1);
}

static bool read_customer(struct parser *p, struct bytes key, void *into, int depth)
{
	struct customer *c = into;

	if (is(key, "id"))
		return null(p) || integer(p, &c->id);
	if (is(key, "name"))
		return null(p) || string(p, &c->name);
	if (is(key, "email"))
		return null(p) || string(p, &c->email);
	return skip(p, key, NULL, depth);
}

static bool read_order(struct parser *p, struct bytes key, void *into, int depth)
{
	struct order *o = into;

	if (is(key, "id"))
		return null(p) || integer(p, &o->id);
	if (is(key, "customer"))
		return null(p) || members(p, read_customer, &o->customer, depth + 1);
	if (is(key, "items")) {
		o->count = 0;
		return null(p) || elements(p, read_items, o, depth + 1);
	}
	if (is(key, "note"))
		return null(p) || string(p, &o->note);
	return skip(p, key, NULL, depth);
}

static bool between(uint64_t n, uint64_t most) { return n >= 1 && n <= most; }

/* flaw returns what the order lacks, and in which item, or NULL. */
static const char *flaw(const struct order *o, size_t *in)
{
	if (!between(o->id, NUMBER))
		return "id: want an integer from 1 to 999999999999999";
	if (!between(o->customer.id, NUMBER))
		return "customer.id: want an integer from 1 to 999999999999999";
	if (o->customer.name.size == 0)
		return "customer.name: want a text";
	if (o->customer.email.size == 0)
		return "customer.email: want a text";
	if (o->count == 0)
		return "items: want 1 to 1000";
	for (*in = 0; *in < o->count; ++*in) {
		const struct item *i = &o->items[*in];
		if (i->sku.size == 0)
			return "sku: want a text";
		if (i->name.size == 0)
			return "name: want a text";
		if (!between(i->quantity, QUANTITY))
			return "quantity: want an integer from 1 to 10000";
		if (!between(i->cents, CENTS))
			return "cents: want an integer from 1 to 100000000";
	}
	return NULL;
}

static unsigned char *put(unsigned char *to, const char *s)
{
	size_t size = strlen(s);
	memcpy(to, s, size);
	return to + size;
}

static unsigned char *put_number(unsigned char *to, uint64_t n)
{
	unsigned char reversed[20];
	size_t size = 0;

	do {
		reversed[size++] = (unsigned char)('0' + n % 10);
		n /= 10;
	} while (n > 0);
	while (size > 0)
		*to++ = reversed[--size];
	return to;
}

static unsigned char *put_string(unsigned char *to, struct bytes s)
{
	static const char from[] = "\"\\\b\f\n\r\t", short_form[] = "\"\\bfnrt", hexadecimal[] = "0123456789abcdef";

	*to++ = '"';
	for (size_t i = 0; i < s.size; i++) {
		unsigned char c = s.at[i];
		if (c >= ' ' && c != '"' && c != '\\') {
			*to++ = c;
			continue;
		}
		const char *found = c == '\0' ? NULL : strchr(from, c);
		*to++ = '\\';
		if (found != NULL) {
			*to++ = (unsigned char)short_form[found - from];
			continue;
		}
		to = put(to, "u00");
		*to++ = (unsigned char)hexadecimal[c >> 4];
		*to++ = (unsigned char)hexadecimal[c & 15];
	}
	*to++ = '"';
	return to;
}

static unsigned char *put_order(unsigned char *to, const struct order *o)
{
	uint64_t total = 0;

	to = put_number(put(to, "{\"id\":"), o->id);
	to = put_number(put(to, ",\"customer\":{\"id\":"), o->customer.id);
	to = put_string(put(to, ",\"name\":"), o->customer.name);
	to = put_string(put(to, ",\"email\":"), o->customer.email);
	to = put(to, "},\"items\":[");
	for (const struct item *i = o->items; i < o->items + o->count; i++) {
		to = put_string(put(to, i == o->items ? "{\"sku\":" : ",{\"sku\":"), i->sku);
		to = put_string(put(to, ",\"name\":"), i->name);
		to = put_number(put(to, ",\"quantity\":"), i->quantity);
		to = put_number(put(to, ",\"cents\":"), i->cents);
		*to++ = '}';
		total += i->quantity * i->cents;
	}
	to = put_string(put(to, "],\"note\":"), o->note);
	to = put_number(put(to, ",\"count\":"), o->count);
	to = put_number(put(to, ",\"total\":"), total);
	*to++ = '}';
	return to;
}

struct bytes answer(struct bytes request)
{
	static struct order order; /* keeps its room */
	static unsigned char *memory;
	static size_t capacity;
	/* Where an order lacks nothing, all that is encoded again was in the request,
	 * and there no shorter: but for the note and what is added, under 128 bytes. */
	size_t need = 2 * request.size + 128, in = ITEMS;

	if (request.size > LONGEST)
		return text("error: byte %d: want the end of the document", LONGEST);
	if (need > capacity) {
		free(memory);
		memory = malloc(need);
		if (memory == NULL)
			abort();
		capacity = need;
	}
	order = (struct order){.items = order.items, .room = order.room};
	struct parser p = {request.at, request.at, request.at + request.size, memory, NULL};
	if (members(&p, read_order, &order, 1) && (next(&p), p.at < p.end))
		fail(&p, "the end of the document");
	if (p.wanted != NULL)
		return text("error: byte %zu: want %s", (size_t)(p.at - p.begin), p.wanted);
	const char *lacks = flaw(&order, &in);
	if (lacks != NULL && in < ITEMS)
		return text("error: items[%zu].%s", in, lacks);
	if (lacks != NULL)
		return text("error: %s", lacks);
	unsigned char *begin = memory + request.size;
	return (struct bytes){begin, (size_t)(put_order(begin, &order) - begin)};
}
