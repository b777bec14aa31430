/* boundary: what it costs to pass between a guest and what runs it. `echo` is
 * answered with echo. `syscall N` makes N calls out of the guest, each of the
 * least that the system does and each checked, `loop N` N rounds of a loop, where
 * an engine that can end a guest has to look whether it shall. */
#define _GNU_SOURCE

#include "fields.h"

#include <inttypes.h>
#ifdef __wasi__
#include <wasi/api.h>
#else
#include <sys/syscall.h>
#include <unistd.h>
#endif

/* Out is what a call out of the guest returns. It is a system call, or an import
 * of the module, and not a function of the C library, which may know the result
 * from the call before. */
#ifdef __wasi__
typedef struct {
	__wasi_errno_t error;
	__wasi_size_t count;
} out;

static out call_out(void)
{
	out o = {0, 0};
	__wasi_size_t size;

	o.error = __wasi_args_sizes_get(&o.count, &size);
	return o;
}

static bool right(out first, out o)
{
	return o.error == 0 && o.count == first.count;
}
#else
typedef long out;

static out call_out(void)
{
	return syscall(SYS_getppid);
}

static bool right(out first, out o)
{
	return o >= 0 && o == first; /* it is 0 where the parent is outside the container */
}
#endif

/* loop makes one backward branch a round. No two rounds of shifts and exclusive
 * ors can be made one, as rounds of multiplying and adding could: the assembly,
 * which may change x as far as compilers know, is not in the module, where an
 * engine's compiler meets the loop again. The pragma keeps ours from repeating the
 * body between branches. */
static uint32_t loop(uint32_t rounds)
{
	uint32_t x = 1;

#ifdef __clang__
#pragma clang loop unroll(disable)
#else
#pragma GCC unroll 1
#endif
	for (uint32_t i = 0; i < rounds; i++) {
		x ^= x << 13;
		x ^= x >> 17;
		x ^= x << 5;
		__asm__ volatile("" : "+r"(x));
	}
	return x;
}

struct bytes answer(struct bytes request)
{
	struct bytes fields[2];
	uint64_t n;

	if (is(request, "echo"))
		return request;
	if (!split(request, fields, 2) || !decimal(fields[1], 1, INT32_MAX, &n) || !(is(fields[0], "syscall") || is(fields[0], "loop")))
		return refuse(request, "echo, syscall N or loop N, N from 1 to 2147483647");
	if (is(fields[0], "loop"))
		return text("%" PRIu32, loop((uint32_t)n));
	out first = call_out();
	for (uint64_t i = 0; i < n; i++)
		if (!right(first, call_out()))
			return text("error: syscall %" PRIu64 ": call %" PRIu64 " was not answered as the first", n, i + 1);
	return text("%" PRIu64, n);
}
