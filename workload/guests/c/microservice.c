/* microservice: the request is the number of a customer, the answer a summary of
 * the customer's orders as JSON. The orders are on the heap for the reason that
 * webapi.c gives. */
#include "number.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ORDERS = 32768, CUSTOMERS = 4096, NONE = -1 };

struct order {
	uint32_t id, day, quantity, cents;
	int32_t previous; /* of the same customer, or NONE */
	char status[8], address[28], note[72]; /* room for the longest of each */
};

struct book {
	struct order orders[ORDERS];
	int32_t latest[CUSTOMERS]; /* order of each, or NONE */
};

static const char *const statuses[] = {"new", "paid", "packed", "shipped"};
static const char *const streets[] = {" Station Road, ", " Mill Lane, ", " High Street, ", " Church Walk, ", " Park Avenue, ", " Bridge End, ", " Castle Hill, ", " Orchard Way, "};
static const char *const towns[] = {"Ashford", "Burnley", "Carlisle", "Dorking", "Epsom", "Falmouth", "Grantham", "Hereford"};
static const char *const calls[] = {"ring the bell, ", "knock twice, "};
static const char *const places[] = {"leave it in the porch, ", "give it to a neighbour, "};
static const char *const times[] = {"not before noon, ", "from six onwards, "};
static const char *const boxes[] = {"gift wrapped", "without a box"};

static struct book *make_book(void)
{
	struct book *b = malloc(sizeof *b);
	if (b == NULL)
		abort();
	for (uint32_t customer = 0; customer < CUSTOMERS; customer++)
		b->latest[customer] = NONE;
	for (uint32_t id = 0; id < ORDERS; id++) {
		struct order *o = &b->orders[id];
		uint32_t seed = id * 8, customer = scatter(seed + 3) % CUSTOMERS;
		uint32_t place = scatter(seed + 1), house = 10 + place % 90;

		o->id = id;
		o->day = id / 32;
		o->quantity = 1 + scatter(seed + 2) % 9;
		o->cents = o->quantity * (100 + scatter(seed) % 5000);
		o->previous = b->latest[customer];
		strcpy(o->status, statuses[scatter(seed + 4) % 4]);
		o->address[0] = (char)('0' + house / 10); /* printf would be most of the time an interpreter takes */
		o->address[1] = (char)('0' + house % 10);
		char *to = stpcpy(o->address + 2, streets[(place >> 8) % 8]);
		strcpy(to, towns[(place >> 16) % 8]);
		to = stpcpy(o->note, calls[(place >> 24) % 2]);
		to = stpcpy(to, places[(place >> 25) % 2]);
		to = stpcpy(to, times[(place >> 26) % 2]);
		strcpy(to, boxes[(place >> 27) % 2]);
		b->latest[customer] = (int32_t)id;
	}
	return b;
}

struct bytes answer(struct bytes request)
{
	static struct book *book;
	static char text[512];
	uint32_t customer = number(request);
	unsigned count = 0, total = 0;

	if (book == NULL)
		book = make_book();
	if (customer >= CUSTOMERS)
		return (struct bytes){(const unsigned char *)"no such customer", 16};
	int32_t latest = book->latest[customer];
	for (int32_t id = latest; id != NONE; id = book->orders[id].previous) {
		count++;
		total += book->orders[id].cents;
	}
	int size = snprintf(text, sizeof text, "{\"customer\":%u,\"orders\":%u,\"total\":%u,\"last\":", (unsigned)customer, count, total);
	if (latest == NONE) {
		size += sprintf(text + size, "null}");
	} else {
		const struct order *o = &book->orders[latest];
		size += snprintf(text + size, sizeof text - (size_t)size,
			"{\"id\":%u,\"day\":%u,\"quantity\":%u,\"cents\":%u,\"status\":\"%s\",\"address\":\"%s\",\"note\":\"%s\"}}",
			(unsigned)o->id, (unsigned)o->day, (unsigned)o->quantity, (unsigned)o->cents, o->status, o->address, o->note);
	}
	return (struct bytes){(const unsigned char *)text, (size_t)size};
}
