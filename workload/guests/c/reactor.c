/* The driver of WASI reactors: the exchange by exported functions. */
#include "guest.h"

#include <stdint.h>

static uint32_t capacity;
static unsigned char *buffer;

__attribute__((export_name("wasmbench_request"))) uint32_t wasmbench_request(uint32_t size)
{
	buffer = request_buffer(size);
	capacity = buffer == NULL ? 0 : size;
	return (uint32_t)(uintptr_t)buffer;
}

__attribute__((export_name("wasmbench_answer"))) uint64_t wasmbench_answer(uint32_t size)
{
	if (size > capacity)
		__builtin_trap();
	struct bytes a = answer((struct bytes){buffer, size});
	return (uint64_t)(uint32_t)(uintptr_t)a.at << 32 | (uint32_t)a.size;
}
