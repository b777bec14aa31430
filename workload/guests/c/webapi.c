/* webapi: the request is the number of a product, the answer the product as
 * JSON. The catalogue is on the heap, so that a module has its memory when it is
 * first asked, as a process does, and not when it is instantiated. */
#include "number.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PRODUCTS = 4096, WORDS = 24 };

struct product {
	uint32_t id, price, stock;
	char name[24], tags[2][12], description[196];
};

static const char *const materials[] = {"Oak", "Steel", "Linen", "Glass", "Cork", "Wool", "Slate", "Brass"};
static const char *const things[] = {"lamp", "chair", "shelf", "bowl", "clock", "rug", "tray", "stool"};
static const char *const tags[] = {"new", "sale", "garden", "kitchen", "office", "gift", "outdoor", "bedroom"};
static const char *const words[] = {"a", "light", "and", "sturdy", "piece", "for", "every", "room", "made", "by", "hand", "in", "small", "series", "with", "care"};

static struct product *make_catalogue(void)
{
	struct product *catalogue = calloc(PRODUCTS, sizeof *catalogue);
	if (catalogue == NULL)
		abort();
	for (uint32_t id = 0; id < PRODUCTS; id++) {
		struct product *p = &catalogue[id];
		char *to = p->description;
		uint32_t seed = id * 32;

		for (uint32_t i = 0; i < WORDS; i++) {
			if (i > 0)
				*to++ = ' ';
			to = stpcpy(to, words[scatter(seed + i) % 16]);
		}
		sprintf(p->name, "%s %s %u", materials[scatter(seed + 24) % 8], things[scatter(seed + 25) % 8], (unsigned)id);
		p->id = id;
		p->price = 100 + scatter(seed + 26) % 50000;
		p->stock = scatter(seed + 27) % 1000;
		uint32_t tag = scatter(seed + 28);
		strcpy(p->tags[0], tags[tag % 8]);
		strcpy(p->tags[1], tags[(tag + 1 + scatter(seed + 29) % 7) % 8]);
	}
	return catalogue;
}

struct bytes answer(struct bytes request)
{
	static struct product *catalogue;
	static char text[512];
	uint32_t id = number(request);

	if (catalogue == NULL)
		catalogue = make_catalogue();
	if (id >= PRODUCTS)
		return (struct bytes){(const unsigned char *)"no such product", 15};
	const struct product *p = &catalogue[id];
	int size = snprintf(text, sizeof text,
		"{\"id\":%u,\"name\":\"%s\",\"price\":%u,\"stock\":%u,\"tags\":[\"%s\",\"%s\"],\"description\":\"%s\"}",
		(unsigned)p->id, p->name, (unsigned)p->price, (unsigned)p->stock, p->tags[0], p->tags[1], p->description);
	return (struct bytes){(const unsigned char *)text, (size_t)size};
}
