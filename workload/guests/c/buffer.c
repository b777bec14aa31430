#include "guest.h"

#include <stdlib.h>

unsigned char *request_buffer(size_t size)
{
	static unsigned char small[4096];
	static unsigned char *buffer = small;
	static size_t capacity = sizeof small;

	if (size > capacity) {
		unsigned char *larger = malloc(size);
		if (larger == NULL)
			return NULL;
		if (buffer != small)
			free(buffer);
		buffer = larger;
		capacity = size;
	}
	return buffer;
}
