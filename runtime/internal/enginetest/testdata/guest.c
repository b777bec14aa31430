/* The guest of enginetest: guest.go.txt says what it is asked. As a command
 * it reads the request from the file "request" and writes the answer to the
 * file "answer". */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char request[1 << 16], response[1 << 16];

static int failed(const char *what)
{
	return snprintf(response, sizeof response, "error: %s: %s", what, strerror(errno));
}

static int get(const char *name)
{
	int fd = open(name, O_RDONLY);
	if (fd < 0)
		return failed(name);
	ssize_t n = read(fd, response, sizeof response);
	if (n < 0)
		n = failed(name);
	close(fd);
	return n;
}

static int put(const char *name, const char *text, size_t size)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	if (fd < 0)
		return failed(name);
	ssize_t n = write(fd, text, size);
	if (n < 0 || (size_t)n != size)
		n = failed(name);
	else
		n = snprintf(response, sizeof response, "%zd", n);
	close(fd);
	return n;
}

/* add writes at the end of a file, which it cuts to what it had before and
 * writes again. The file is opened for it in two ways. */
static int add(const char *name, const char *text)
{
	struct stat info;
	for (int once = 0; once < 2; once++) {
		int fd = open(name, O_RDWR | (once ? O_APPEND : 0));
		if (fd < 0 || fstat(fd, &info) < 0 || fcntl(fd, F_SETFL, O_APPEND) < 0 || write(fd, text, strlen(text)) < 0 || fsync(fd) < 0 || fdatasync(fd) < 0)
			return failed(name);
		if (once == 0 && ftruncate(fd, info.st_size) < 0)
			return failed(name);
		close(fd);
	}
	return snprintf(response, sizeof response, "%lld", (long long)info.st_size);
}

/* list answers with how many entries a directory has, counted twice. */
static int list(const char *name)
{
	int n = 0;
	DIR *dir = opendir(name);
	if (dir == NULL)
		return failed(name);
	for (int twice = 0; twice < 2; twice++, rewinddir(dir))
		while (readdir(dir) != NULL)
			n++;
	closedir(dir);
	return snprintf(response, sizeof response, "%d", n);
}

static int answer(char *text)
{
	char *rest[] = {"", ""};
	for (int i = 0; i < 2; i++) {
		char *space = strchr(i == 0 ? text : rest[0], ' ');
		if (space == NULL)
			break;
		*space = '\0';
		rest[i] = space + 1;
	}
	if (strcmp(text, "get") == 0)
		return get(rest[0]);
	if (strcmp(text, "put") == 0)
		return put(rest[0], rest[1], strlen(rest[1]));
	if (strcmp(text, "link") == 0)
		return symlink(rest[1], rest[0]) == 0 ? snprintf(response, sizeof response, "0") : failed(rest[0]);
	if (strcmp(text, "hardlink") == 0)
		return link(rest[1], rest[0]) == 0 ? snprintf(response, sizeof response, "0") : failed(rest[0]);
	if (strcmp(text, "rename") == 0)
		return rename(rest[1], rest[0]) == 0 ? snprintf(response, sizeof response, "0") : failed(rest[0]);
	if (strcmp(text, "remove") == 0)
		return remove(rest[0]) == 0 ? snprintf(response, sizeof response, "0") : failed(rest[0]);
	if (strcmp(text, "mkdir") == 0)
		return mkdir(rest[0], 0755) == 0 ? snprintf(response, sizeof response, "0") : failed(rest[0]);
	if (strcmp(text, "add") == 0)
		return add(rest[0], rest[1]);
	if (strcmp(text, "list") == 0)
		return list(rest[0]);
	if (strcmp(text, "spin") == 0)
		for (;;)
			__asm__ volatile("");
	if (strcmp(text, "loop") == 0) {
		uint32_t x = 1;
		for (long n = atol(rest[0]); n > 0; n--) {
			x = x * 1664525 + 1013904223;
			__asm__ volatile("" : "+r"(x));
		}
		return snprintf(response, sizeof response, "%u", x);
	}
	return snprintf(response, sizeof response, "error: unknown operation %s", text);
}

#ifdef REACTOR
__attribute__((export_name("wasmbench_request"))) uint32_t wasmbench_request(uint32_t size)
{
	return size < sizeof request ? (uint32_t)(uintptr_t)request : 0;
}

__attribute__((export_name("wasmbench_answer"))) uint64_t wasmbench_answer(uint32_t size)
{
	request[size] = '\0';
	uint32_t n = answer(request);
	return (uint64_t)(uint32_t)(uintptr_t)response << 32 | n;
}
#else
int main(void)
{
	int n = get("request");
	memcpy(request, response, n);
	n = answer(request);
	memmove(request, response, n);
	return put("answer", request, n) > 0 ? 0 : 1;
}
#endif
