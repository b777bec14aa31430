/* hello: the request is a name, the answer greets it. */
#include "guest.h"

#include <string.h>

struct bytes answer(struct bytes request)
{
	static unsigned char text[256];
	static const char before[] = "Hello, ", after[] = "!";
	size_t most = sizeof text - sizeof before - sizeof after;
	size_t size = request.size < most ? request.size : most;
	unsigned char *to = text;

	memcpy(to, before, sizeof before - 1);
	to += sizeof before - 1;
	memcpy(to, request.at, size);
	to += size;
	memcpy(to, after, sizeof after - 1);
	to += sizeof after - 1;
	return (struct bytes){text, (size_t)(to - text)};
}
