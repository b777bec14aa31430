/* What the drivers of programs share: reads and writes that are complete. */
#ifndef WASMBENCH_IO_H
#define WASMBENCH_IO_H

#include "guest.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* read_all returns size, or less at the end of the input. */
static size_t read_all(unsigned char *to, size_t size)
{
	size_t have = 0;
	while (have < size) {
		ssize_t n = read(STDIN_FILENO, to + have, size - have);
		if (n < 0)
			exit(2);
		if (n == 0)
			break;
		have += (size_t)n;
	}
	return have;
}

static void write_all(const unsigned char *from, size_t size)
{
	while (size > 0) {
		ssize_t n = write(STDOUT_FILENO, from, size);
		if (n <= 0)
			exit(3);
		from += n;
		size -= (size_t)n;
	}
}

/* write_both sends a short answer and its head in one write. */
static void write_both(const void *head, size_t head_size, struct bytes b)
{
	unsigned char both[512];
	if (b.size > sizeof both - head_size) {
		write_all(head, head_size);
		write_all(b.at, b.size);
		return;
	}
	memcpy(both, head, head_size);
	memcpy(both + head_size, b.at, b.size);
	write_all(both, head_size + b.size);
}

#endif
