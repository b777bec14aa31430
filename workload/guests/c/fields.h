/* What the guests share whose requests have several fields: the fields, each
 * divided from the next by one space, and the answer to what cannot be done. */
#ifndef WASMBENCH_FIELDS_H
#define WASMBENCH_FIELDS_H

#include "guest.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* split cuts b into n fields and tells whether there are as many, none empty. */
static inline bool split(struct bytes b, struct bytes *fields, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		size_t size = 0;
		while (size < b.size && b.at[size] != ' ')
			size++;
		if (size == 0 || (size == b.size) != (i == n - 1))
			return false;
		fields[i] = (struct bytes){b.at, size};
		if (size < b.size) {
			b.at += size + 1;
			b.size -= size + 1;
		}
	}
	return true;
}

static inline bool is(struct bytes field, const char *word)
{
	return field.size == strlen(word) && memcmp(field.at, word, field.size) == 0;
}

/* decimal reads a number of one to fifteen digits from least to most, and tells
 * whether the field is one. */
static inline bool decimal(struct bytes field, uint64_t least, uint64_t most, uint64_t *n)
{
	*n = 0;
	if (field.size < 1 || field.size > 15)
		return false;
	for (size_t i = 0; i < field.size; i++) {
		if (field.at[i] < '0' || field.at[i] > '9')
			return false;
		*n = *n * 10 + (uint64_t)(field.at[i] - '0');
	}
	return *n >= least && *n <= most;
}

/* text is an answer of a few words or numbers. */
__attribute__((format(printf, 1, 2))) static inline struct bytes text(const char *format, ...)
{
	static char line[768];
	va_list args;

	va_start(args, format);
	int size = vsnprintf(line, sizeof line, format, args);
	va_end(args);
	if (size < 0)
		size = 0;
	if ((size_t)size >= sizeof line)
		size = sizeof line - 1;
	return (struct bytes){(const unsigned char *)line, (size_t)size};
}

/* refuse answers a request that is not of the form told. */
static inline struct bytes refuse(struct bytes request, const char *form)
{
	char shown[65];
	size_t size = request.size < sizeof shown ? request.size : sizeof shown - 1;

	for (size_t i = 0; i < size; i++)
		shown[i] = (char)(request.at[i] >= ' ' && request.at[i] < 0x7f ? request.at[i] : '?');
	shown[size] = '\0';
	return text("error: request \"%s\"%s: want %s", shown, size < request.size ? "..." : "", form);
}

#endif
