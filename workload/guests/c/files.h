/* What the guests that have files share: reads and writes that are complete. It
 * comes before all other headers, for it makes offsets of 64 bits. */
#ifndef WASMBENCH_FILES_H
#define WASMBENCH_FILES_H

#define _FILE_OFFSET_BITS 64

#include "fields.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/types.h>
#include <unistd.h>

_Static_assert(sizeof(off_t) == 8, "files are longer than 2 GB");

/* What follows returns an answer about what failed, or this. */
static const struct bytes done = {NULL, 0};

/* failed tells what was being done to a file when the system refused. */
static inline struct bytes failed(const char *what, const char *name)
{
	return text("error: %s %s: %s", what, name, strerror(errno));
}

/* write_at writes size bytes. Of its file the request has written written bytes
 * before. */
static inline struct bytes write_at(int fd, const char *name, const void *from, size_t size, uint64_t at, uint64_t written)
{
	size_t have = 0;

	while (have < size) {
		ssize_t n = pwrite(fd, (const char *)from + have, size - have, (off_t)(at + have));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return text("error: writing %s: %s after %" PRIu64 " bytes", name, n < 0 ? strerror(errno) : "nothing is taken", written + have);
		have += (size_t)n;
	}
	return done;
}

/* read_some reads until it has size bytes or the file ends. It returns how many
 * it has, or -1. */
static inline ssize_t read_some(int fd, void *to, size_t size, uint64_t at)
{
	size_t have = 0;

	while (have < size) {
		ssize_t n = pread(fd, (char *)to + have, size - have, (off_t)(at + have));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		have += (size_t)n;
	}
	return (ssize_t)have;
}

/* read_at reads size bytes; fewer are a failure. */
static inline struct bytes read_at(int fd, const char *name, void *to, size_t size, uint64_t at)
{
	ssize_t n = read_some(fd, to, size, at);

	if (n < 0)
		return failed("reading", name);
	if ((size_t)n < size)
		return text("error: reading %s: short: %zd of %zu bytes at %" PRIu64, name, n, size, at);
	return done;
}

static inline struct bytes sync_file(int fd, const char *name)
{
	while (fsync(fd) < 0)
		if (errno != EINTR)
			return failed("syncing", name);
	return done;
}

#endif
