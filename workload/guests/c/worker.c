/* The driver of executables and WASI commands: the worker protocol on standard
 * input and output. A frame is a length in four bytes, least significant first,
 * and as many bytes. */
#include "io.h"

#include <stdint.h>

static void write_frame(struct bytes b)
{
	unsigned char head[4];
	uint32_t size = (uint32_t)b.size;
	for (int i = 0; i < 4; i++)
		head[i] = (unsigned char)(size >> (8 * i));
	write_both(head, sizeof head, b);
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
