/* The driver of CGI programs: one request on standard input, whose size is in
 * CONTENT_LENGTH, and one response on standard output. Without a size there is
 * no body. */
#include "io.h"

static const char head[] = "Content-Type: application/octet-stream\n\n";

int main(void)
{
	const char *length = getenv("CONTENT_LENGTH");
	size_t size = 0;

	if (length != NULL && *length != '\0') {
		char *end;
		size = strtoul(length, &end, 10);
		if (*end != '\0')
			return 6;
	}
	unsigned char *request = request_buffer(size);
	if (request == NULL)
		return 5;
	if (read_all(request, size) < size)
		return 4;
	write_both(head, sizeof head - 1, answer((struct bytes){request, size}));
	return 0;
}
