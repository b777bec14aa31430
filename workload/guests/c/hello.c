/* hello: the request is a name, the answer greets it. */
#include "guest.h"

#include <stdlib.h>
#include <string.h>

static const char before[] = "Hello, ", after[] = "!";

struct bytes answer(struct bytes request)
{
	static unsigned char *text;
	static size_t capacity;
	size_t front = sizeof before - 1, back = sizeof after - 1;
	size_t size = front + request.size + back;

	if (size > capacity) {
		free(text);
		capacity = size < 256 ? 256 : size;
		text = malloc(capacity);
		if (text == NULL)
			abort();
	}
	memcpy(text, before, front);
	memcpy(text + front, request.at, request.size);
	memcpy(text + front + request.size, after, back);
	return (struct bytes){text, size};
}
