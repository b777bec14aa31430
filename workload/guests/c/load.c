/* load: the request is STEPS ROUNDS BLOCKS. Each step computes so many rounds and
 * then writes so many blocks to a file, each synced, read back and compared. The
 * answer is what was computed and the number of blocks. */
#include "files.h"
#include "scatter.h"

enum { BLOCK = 4096, PLACES = 256 };

static const char file[] = "load.dat";

/* store writes the block that x makes as the nth of the request. */
static struct bytes store(int fd, uint32_t x, uint64_t n)
{
	static unsigned char block[BLOCK], back[BLOCK];
	uint64_t at = n % PLACES * BLOCK;

	memset(block, (int)(x & 255), sizeof block);
	for (int i = 0; i < 4; i++)
		block[i] = (unsigned char)(x >> (8 * i));
	struct bytes error = write_at(fd, file, block, sizeof block, at, n * BLOCK);
	if (error.at == NULL)
		error = sync_file(fd, file);
	if (error.at == NULL)
		error = read_at(fd, file, back, sizeof back, at);
	if (error.at == NULL && memcmp(block, back, sizeof block) != 0)
		error = text("error: reading %s: other bytes than were written at %" PRIu64, file, at);
	return error;
}

struct bytes answer(struct bytes request)
{
	struct bytes fields[3], error = done;
	uint64_t steps, rounds, blocks, written = 0;
	uint32_t x = 0;
	int fd = -1;

	if (!split(request, fields, 3) || !decimal(fields[0], 1, INT32_MAX, &steps) ||
	    !decimal(fields[1], 0, INT32_MAX, &rounds) || !decimal(fields[2], 0, INT32_MAX, &blocks))
		return refuse(request, "STEPS ROUNDS BLOCKS, each to 2147483647, STEPS from 1");
	if (blocks > 0 && (fd = open(file, O_RDWR | O_CREAT | O_TRUNC, 0644)) < 0)
		return failed("creating", file);
	for (uint64_t step = 0; step < steps && error.at == NULL; step++) {
		for (uint64_t i = 0; i < rounds; i++)
			x = scatter(x + 1);
		for (uint64_t i = 0; i < blocks && error.at == NULL; i++) {
			error = store(fd, x, written);
			written++;
		}
	}
	if (fd >= 0) {
		if (close(fd) < 0 && error.at == NULL)
			error = failed("closing", file);
		if (unlink(file) < 0 && error.at == NULL)
			error = failed("removing", file);
	}
	if (error.at != NULL)
		return error;
	return text("%" PRIu32 " %" PRIu64, x, written);
}
