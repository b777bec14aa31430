/* What the guests share that make data: the numbers that these are made of. */
#ifndef WASMBENCH_SCATTER_H
#define WASMBENCH_SCATTER_H

#include <stdint.h>

/* scatter returns a number that looks like a random one, for each n the same
 * one in every language. */
static uint32_t scatter(uint32_t n)
{
	n *= 0x9e3779b1;
	n ^= n >> 15;
	n *= 0x85ebca77;
	return n ^ n >> 13;
}

#endif
