/* A guest is one function from request bytes to answer bytes. The drivers in
 * worker.c, cgi.c and reactor.c call it; the answer stays valid until the next
 * call. */
#ifndef WASMBENCH_GUEST_H
#define WASMBENCH_GUEST_H

#include <stddef.h>

struct bytes {
	const unsigned char *at;
	size_t size;
};

struct bytes answer(struct bytes request);

/* request_buffer returns room for size bytes, or NULL. It moves only to grow. */
unsigned char *request_buffer(size_t size);

#endif
