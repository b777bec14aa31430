/* fileio: the request is OP NAME SIZE BLOCK COUNT SEED. The file is of pages, and
 * of page p in generation g the words are p, g and then what is the same in all,
 * so that what is read can be told from what was never written and from what was
 * overwritten since. Only one block of it is in memory. */
#include "files.h"
#include "scatter.h"

#include <stdlib.h>
#include <time.h>

enum { PAGE = 4096, WORDS = PAGE / 4, MOST_BLOCK = 1 << 26, MOST_COUNT = 1 << 22, NAME = 255 };

static const uint64_t most_size = UINT64_C(1) << 40;

struct job {
	char name[NAME + 1];
	uint64_t size, count;
	size_t block;
	uint32_t seed;
};

/* The one block, and how much of its begin holds pages to write. */
static uint32_t *block;
static size_t patterned;

/* make_block has the block hold size bytes and tells whether it does. It begins
 * with a page of memory, so that how fast the system copies is not up to malloc. */
static bool make_block(size_t size)
{
	static size_t capacity;

	if (size <= capacity)
		return true;
	free(block);
	capacity = patterned = 0;
	block = aligned_alloc(PAGE, size);
	if (block == NULL)
		return false;
	capacity = size;
	return true;
}

/* put stores a word, least significant byte first, whatever the processor. */
static void put(uint32_t *to, uint32_t word)
{
	unsigned char *b = (unsigned char *)to;

	for (int i = 0; i < 4; i++)
		b[i] = (unsigned char)(word >> (8 * i));
}

static uint32_t get(const uint32_t *from)
{
	const unsigned char *b = (const unsigned char *)from;

	return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

/* stamp makes the block size bytes of generation g from the page at offset at. */
static void stamp(size_t size, uint64_t at, uint32_t g)
{
	if (patterned < size) {
		for (uint32_t i = 2; i < WORDS; i++)
			put(block + i, scatter(i));
		for (size_t done = PAGE; done < size; done += PAGE)
			memcpy((char *)block + done, block, PAGE);
		patterned = size;
	}
	for (size_t i = 0; i < size / PAGE; i++) {
		put(block + i * WORDS, (uint32_t)(at / PAGE + i));
		put(block + i * WORDS + 1, g);
	}
}

/* inspect adds up the generations of the pages in the block, which were read at
 * offset at. */
static struct bytes inspect(const struct job *j, uint64_t at, uint32_t *sum)
{
	for (size_t i = 0; i < j->block / PAGE; i++) {
		uint32_t number = get(block + i * WORDS);
		if (number != (uint32_t)(at / PAGE + i))
			return text("error: reading %s: page %" PRIu32 " at %" PRIu64, j->name, number, at + i * PAGE);
		*sum += get(block + i * WORDS + 1);
	}
	return done;
}

/* now returns the time of the monotonic clock in nanoseconds. */
static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* end closes the file and returns the error there was before, or else its own. */
static struct bytes end(int fd, const struct job *j, struct bytes error)
{
	if (close(fd) < 0 && error.at == NULL)
		return failed("closing", j->name);
	return error;
}

static struct bytes write_file(const struct job *j)
{
	struct bytes error = done;
	int fd = open(j->name, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	if (fd < 0)
		return failed("creating", j->name);
	for (uint64_t at = 0; at < j->size && error.at == NULL; at += j->block) {
		stamp(j->block, at, j->seed);
		error = write_at(fd, j->name, block, j->block, at, at);
	}
	if (error.at == NULL)
		error = sync_file(fd, j->name);
	error = end(fd, j, error);
	if (error.at != NULL)
		return error;
	return text("%" PRIu64 " %" PRIu32, j->size, j->seed * (uint32_t)(j->size / PAGE));
}

static struct bytes read_file(const struct job *j)
{
	struct bytes error = done;
	uint32_t sum = 0;
	int fd = open(j->name, O_RDONLY);

	if (fd < 0)
		return failed("opening", j->name);
	patterned = 0;
	for (uint64_t at = 0; at < j->size && error.at == NULL; at += j->block) {
		error = read_at(fd, j->name, block, j->block, at);
		if (error.at == NULL)
			error = inspect(j, at, &sum);
	}
	if (error.at == NULL) {
		ssize_t more = read_some(fd, block, 1, j->size);
		if (more < 0)
			error = failed("reading", j->name);
		if (more > 0)
			error = text("error: reading %s: long: more than %" PRIu64 " bytes", j->name, j->size);
	}
	error = end(fd, j, error);
	if (error.at != NULL)
		return error;
	return text("%" PRIu64 " %" PRIu32, j->size, sum);
}

/* at_random reads or writes count blocks and answers with the time that each
 * took. Nothing else is between the two readings of the clock. */
static struct bytes at_random(const struct job *j, bool writes)
{
	enum { HEAD = 40 };
	static unsigned char *times;
	static size_t capacity;
	struct bytes error = done;
	uint32_t sum = 0, start = scatter(j->seed);
	size_t size = HEAD + (size_t)j->count * 4;

	if (size > capacity) {
		free(times);
		capacity = 0;
		times = malloc(size);
		if (times == NULL)
			return text("error: %" PRIu64 " times: no memory", j->count);
		capacity = size;
	}
	int fd = open(j->name, writes ? O_WRONLY : O_RDONLY);
	if (fd < 0)
		return failed("opening", j->name);
	if (!writes)
		patterned = 0;
	for (uint32_t i = 0; i < j->count && error.at == NULL; i++) {
		uint64_t before, after, at = j->block * (scatter(start + i) % (j->size / j->block));

		if (writes) {
			stamp(j->block, at, j->seed);
			before = now();
			error = write_at(fd, j->name, block, j->block, at, (uint64_t)i * j->block);
			after = now();
			sum += j->seed * (uint32_t)(j->block / PAGE);
		} else {
			before = now();
			error = read_at(fd, j->name, block, j->block, at);
			after = now();
			if (error.at == NULL)
				error = inspect(j, at, &sum);
		}
		uint64_t took = after - before;
		put((uint32_t *)(times + HEAD + (size_t)i * 4), took > UINT32_MAX ? UINT32_MAX : (uint32_t)took);
	}
	if (writes && error.at == NULL)
		error = sync_file(fd, j->name);
	error = end(fd, j, error);
	if (error.at != NULL)
		return error;
	struct bytes head = text("%" PRIu64 " %" PRIu32 "\n", j->count * j->block, sum);
	memcpy(times + HEAD - head.size, head.at, head.size);
	return (struct bytes){times + HEAD - head.size, size - (HEAD - head.size)};
}

/* read_clock reads the clock as often as so many operations at random do. */
static struct bytes read_clock(const struct job *j)
{
	uint64_t last = 0;

	for (uint64_t i = 0; i < 2 * j->count; i++) {
		uint64_t t = now();
		if (t < last)
			return text("error: reading the clock: it went back by %" PRIu64 " ns", last - t);
		last = t;
	}
	return text("%" PRIu64 " 0", j->count);
}

/* remove_file removes the file, if it is there. */
static struct bytes remove_file(const struct job *j)
{
	if (unlink(j->name) < 0 && errno != ENOENT)
		return failed("removing", j->name);
	return text("0 0");
}

static bool parse_name(struct bytes field, char *name)
{
	if (field.size > NAME)
		return false;
	for (size_t i = 0; i < field.size; i++)
		if (field.at[i] <= ' ' || field.at[i] >= 0x7f)
			return false;
	memcpy(name, field.at, field.size);
	name[field.size] = '\0';
	return true;
}

struct bytes answer(struct bytes request)
{
	struct bytes fields[6];
	struct job j;
	uint64_t size, seed;

	if (!split(request, fields, 6) || !parse_name(fields[1], j.name) || !decimal(fields[2], PAGE, most_size, &j.size) ||
	    !decimal(fields[3], PAGE, MOST_BLOCK, &size) || size % PAGE != 0 || j.size % size != 0 ||
	    !decimal(fields[4], 0, MOST_COUNT, &j.count) || !decimal(fields[5], 0, UINT32_MAX, &seed))
		goto refused;
	j.block = (size_t)size;
	j.seed = (uint32_t)seed;
	if (is(fields[0], "clock"))
		return read_clock(&j);
	if (is(fields[0], "remove"))
		return remove_file(&j);
	if (!make_block(j.block))
		return text("error: a block of %zu bytes: no memory", j.block);
	if (is(fields[0], "write"))
		return write_file(&j);
	if (is(fields[0], "read"))
		return read_file(&j);
	if (is(fields[0], "randread"))
		return at_random(&j, false);
	if (is(fields[0], "randwrite"))
		return at_random(&j, true);
refused:
	return refuse(request, "write, read, randread, randwrite, clock or remove, NAME SIZE BLOCK COUNT SEED, "
		"SIZE to 1099511627776 in blocks, BLOCK to 67108864 in pages of 4096, COUNT to 4194304, SEED to 4294967295");
}
