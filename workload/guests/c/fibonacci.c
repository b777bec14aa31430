/* fibonacci: the request is n in decimal, the answer the nth number.
 *
 * The recursion is the workload, so no compiler may change its shape. Each call
 * ends with a store of its result that is made for one n only, which is never
 * asked for, but no compiler knows that: so the function is not pure and equal
 * calls are not merged, and its second call is not the last thing it does and is
 * not turned into a loop. The branch is also in the module, where an engine's
 * compiler meets it again. A store in every call would do the same but cost a
 * module, whose stores are checked, more than a native guest. */
#include "guest.h"

#include <stdint.h>

enum { NEVER = 1000 };

static volatile uint64_t witness;

__attribute__((noinline)) static uint64_t fib(uint32_t n)
{
	uint64_t result = n < 2 ? n : fib(n - 1) + fib(n - 2);
	if (n == NEVER)
		witness = result;
	return result;
}

struct bytes answer(struct bytes request)
{
	static unsigned char text[20];
	unsigned char *to = text + sizeof text;
	uint32_t n = 0;

	for (size_t i = 0; i < request.size; i++)
		n = n * 10 + (uint32_t)(request.at[i] - '0');
	uint64_t f = fib(n);
	do
		*--to = (unsigned char)('0' + f % 10);
	while ((f /= 10) != 0);
	return (struct bytes){to, (size_t)(text + sizeof text - to)};
}
