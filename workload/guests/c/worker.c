/* The driver of executables and WASI commands: the worker protocol on standard
 * input and output. A frame is a length in four bytes, least significant first,
 * and as many bytes. */
#include "guest.h"

#include <stdint.h>
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

/* write_frame sends a short answer in one write. */
static void write_frame(struct bytes b)
{
	unsigned char frame[512];
	uint32_t size = (uint32_t)b.size;
	for (int i = 0; i < 4; i++)
		frame[i] = (unsigned char)(size >> (8 * i));
	if (b.size <= sizeof frame - 4) {
		memcpy(frame + 4, b.at, b.size);
		write_all(frame, 4 + b.size);
		return;
	}
	write_all(frame, 4);
	write_all(b.at, b.size);
}

int main(void)
{
	write_all((const unsigned char *)"wb1\n", 4);
	for (;;) {
		unsigned char head[4];
		size_t n = read_all(head, sizeof head);
		if (n == 0)
			return 0;
		if (n < sizeof head)
			return 4;
		size_t size = (size_t)head[0] | (size_t)head[1] << 8 | (size_t)head[2] << 16 | (size_t)head[3] << 24;
		unsigned char *request = request_buffer(size);
		if (request == NULL)
			return 5;
		if (read_all(request, size) < size)
			return 4;
		write_frame(answer((struct bytes){request, size}));
	}
}
