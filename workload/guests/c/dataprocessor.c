/* dataprocessor: the request is a column of a batch of numbers, row by row, the
 * answer the sum of that column. A row is as long as a line of most caches, so
 * each request reads the whole batch from memory. The batch is on the heap for
 * the reason that webapi.c gives. */
#include "number.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COLUMNS = 16, BLOCK = 65536, BLOCKS = 64 };

/* make_batch repeats one block of numbers and marks each copy of it. */
static uint32_t *make_batch(void)
{
	uint32_t *batch = malloc(sizeof *batch * BLOCK * BLOCKS);
	if (batch == NULL)
		abort();
	for (uint32_t i = 0; i < BLOCK; i++)
		batch[i] = scatter(i);
	for (uint32_t b = 1; b < BLOCKS; b++)
		memcpy(batch + b * BLOCK, batch, sizeof *batch * BLOCK);
	for (uint32_t b = 0; b < BLOCKS; b++)
		batch[b * BLOCK + b % COLUMNS] = b;
	return batch;
}

struct bytes answer(struct bytes request)
{
	static uint32_t *batch;
	static char text[24];
	uint32_t column = number(request);
	uint64_t sum = 0;

	if (batch == NULL)
		batch = make_batch();
	if (column >= COLUMNS)
		return (struct bytes){(const unsigned char *)"no such column", 14};
	for (uint32_t i = column; i < BLOCK * BLOCKS; i += COLUMNS)
		sum += batch[i];
	int size = snprintf(text, sizeof text, "%" PRIu64, sum);
	return (struct bytes){(const unsigned char *)text, (size_t)size};
}
