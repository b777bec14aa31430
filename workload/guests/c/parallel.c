/* parallel: the request is KERNEL FROM TO WORKERS. The kernel goes over the
 * numbers of that range, which are an array in memory, in one contiguous part for
 * each worker: the thread that is asked and others that it starts. The answer is
 * the sum of theirs and the number of workers. In a module there are no other
 * threads. */
#include "fields.h"
#include "scatter.h"

#include <inttypes.h>
#include <stdlib.h>
#ifndef __wasi__
#include <pthread.h>
#endif

enum { MOST_NUMBERS = 1 << 28, MOST_WORKERS = 256, ROUNDS = 32 };

/* The numbers are read from an array that is filled when a range is first asked
 * for, so no compiler can know a sum without going over it. Clang and gcc add
 * several of them in one instruction where the processor can, as they would in
 * any program; in a module they do not. */
static uint64_t sum(const uint32_t *x, size_t n)
{
	uint64_t s = 0;

	for (size_t i = 0; i < n; i++) {
		uint32_t y = 2 * x[i];
		if (y % 3 == 0)
			s += y;
	}
	return s;
}

/* hash works on each number for so long that memory does not matter. */
static uint64_t hash(const uint32_t *x, size_t n)
{
	uint64_t s = 0;

	for (size_t i = 0; i < n; i++) {
		uint32_t h = x[i];
		for (int round = 0; round < ROUNDS; round++)
			h = scatter(h + 1);
		s += h >> 8;
	}
	return s;
}

/* numbers returns those of the range, which stay until another is asked for, or
 * NULL. */
static const uint32_t *numbers(uint32_t from, uint32_t to)
{
	static uint32_t *array, begin, end;

	if (array != NULL && from == begin && to == end)
		return array;
	free(array);
	array = malloc((size_t)(to - from) * sizeof *array);
	if (array == NULL)
		return NULL;
	begin = from;
	end = to;
	for (uint32_t i = from; i < to; i++)
		array[i - from] = scatter(i) >> 8;
	return array;
}

struct part {
	uint64_t (*kernel)(const uint32_t *, size_t);
	const uint32_t *from;
	size_t count;
	uint64_t sum;
#ifndef __wasi__
	pthread_t by; /* who has computed the sum */
#endif
};

#ifdef __wasi__

static struct bytes compute_all(struct part *parts, size_t workers, size_t *did)
{
	if (workers > 1)
		return text("error: %zu workers: a module has one thread", workers);
	parts->sum = parts->kernel(parts->from, parts->count);
	*did = 1;
	return (struct bytes){NULL, 0};
}

#else

static void *compute(void *at)
{
	struct part *p = at;

	p->sum = p->kernel(p->from, p->count);
	p->by = pthread_self();
	return NULL;
}

/* compute_all has each part computed by a thread and counts the threads that
 * did. It returns an answer about what failed, or nothing. */
static struct bytes compute_all(struct part *parts, size_t workers, size_t *did)
{
	pthread_t threads[MOST_WORKERS];
	size_t started = 1;
	int error = 0;

	while (started < workers && (error = pthread_create(&threads[started], NULL, compute, &parts[started])) == 0)
		started++;
	if (error == 0)
		compute(&parts[0]);
	for (size_t k = 1; k < started; k++)
		pthread_join(threads[k], NULL);
	if (error != 0)
		return text("error: %zu workers: starting that with number %zu: %s", workers, started, strerror(error));
	*did = 0;
	for (size_t k = 0; k < workers; k++) {
		size_t before = 0;
		while (before < k && !pthread_equal(parts[before].by, parts[k].by))
			before++;
		*did += before == k;
	}
	return (struct bytes){NULL, 0};
}

#endif

struct bytes answer(struct bytes request)
{
	static struct part parts[MOST_WORKERS];
	struct bytes fields[4];
	uint64_t from, to, workers, total = 0;
	size_t did;

	if (!split(request, fields, 4) || !(is(fields[0], "sum") || is(fields[0], "hash")) ||
	    !decimal(fields[1], 0, MOST_NUMBERS, &from) || !decimal(fields[2], from + 1, MOST_NUMBERS, &to) ||
	    !decimal(fields[3], 1, MOST_WORKERS, &workers) || workers > to - from)
		return refuse(request, "sum or hash, FROM TO WORKERS, FROM < TO <= 268435456, WORKERS from 1 to 256 and to TO - FROM");
	const uint32_t *x = numbers((uint32_t)from, (uint32_t)to);
	if (x == NULL)
		return text("error: %" PRIu64 " numbers: no memory", to - from);
	for (uint64_t k = 0; k < workers; k++) {
		uint64_t begin = (to - from) * k / workers, end = (to - from) * (k + 1) / workers;
		parts[k] = (struct part){.kernel = is(fields[0], "sum") ? sum : hash, .from = x + begin, .count = (size_t)(end - begin)};
	}
	struct bytes error = compute_all(parts, (size_t)workers, &did);
	if (error.at != NULL)
		return error;
	for (size_t k = 0; k < workers; k++)
		total += parts[k].sum;
	return text("%" PRIu64 " %zu", total, did);
}
