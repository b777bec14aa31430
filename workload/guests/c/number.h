/* What the guests that hold data share: the number in a request, and by scatter.h
 * the numbers that data are made of. */
#ifndef WASMBENCH_NUMBER_H
#define WASMBENCH_NUMBER_H

#include "guest.h"
#include "scatter.h"

#include <stdint.h>

/* number returns the decimal number of one to nine digits that is all of b, or
 * UINT32_MAX. */
static uint32_t number(struct bytes b)
{
	uint32_t n = 0;

	if (b.size < 1 || b.size > 9)
		return UINT32_MAX;
	for (size_t i = 0; i < b.size; i++) {
		if (b.at[i] < '0' || b.at[i] > '9')
			return UINT32_MAX;
		n = n * 10 + (uint32_t)(b.at[i] - '0');
	}
	return n;
}

#endif
