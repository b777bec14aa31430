/* What is looked at in the file of a picture before memory is taken for it: that it
 * is a whole JPEG or PNG file, how large the picture is, and that it has every table
 * that it names, which stb_image, made for files that one trusts, reads without
 * looking. */
#ifndef WASMBENCH_IMAGEFILE_H
#define WASMBENCH_IMAGEFILE_H

#include "fields.h"

enum { MOST_SIDE = 16384, MOST_PIXELS = 40000000, MOST_SCANS = 200 };

/* An error is an answer, or this where there is none. */
static const struct bytes fine = {NULL, 0};

static inline uint32_t big16(const unsigned char *b) { return (uint32_t)b[0] << 8 | b[1]; }

static inline uint32_t big32(const unsigned char *b) { return big16(b) << 16 | big16(b + 2); }

static inline struct bytes cut_short(struct bytes file)
{
	return text("error: decode: the file is cut short: it goes on after its %zu bytes", file.size);
}

static inline struct bytes damaged(const char *what) { return text("error: decode: the file is damaged: %s", what); }

static inline struct bytes check_dimensions(uint32_t w, uint32_t h)
{
	if (w < 1 || h < 1 || w > MOST_SIDE || h > MOST_SIDE || w > MOST_PIXELS / h)
		return text("error: decode: a picture of %lu x %lu: want 1 to %d pixels on each side, and at most %d in all",
			(unsigned long)w, (unsigned long)h, MOST_SIDE, MOST_PIXELS);
	return fine;
}

/* A jpeg is what was seen of a file so far. */
struct jpeg {
	uint32_t w, h;
	bool progressive;
	int components, scans;
	unsigned char id[4], quantiser[4];      /* of the components */
	unsigned quantisers, huffman_dc, huffman_ac; /* a bit for each table that there is */
};

static inline struct bytes see_quantisers(struct jpeg *j, const unsigned char *b, size_t size)
{
	while (size > 0) {
		size_t table = b[0] >> 4 == 0 ? 65 : 129;
		if (size < table || (b[0] & 15) > 3)
			return damaged("a quantisation table");
		j->quantisers |= 1u << (b[0] & 15);
		b += table;
		size -= table;
	}
	return fine;
}

static inline struct bytes see_huffman(struct jpeg *j, const unsigned char *b, size_t size)
{
	while (size > 0) {
		size_t table = 17;
		for (size_t i = 1; i < 17 && i < size; i++)
			table += b[i];
		if (size < table || table > 17 + 256 || b[0] >> 4 > 1 || (b[0] & 15) > 3)
			return damaged("a Huffman table");
		*(b[0] >> 4 == 0 ? &j->huffman_dc : &j->huffman_ac) |= 1u << (b[0] & 15);
		b += table;
		size -= table;
	}
	return fine;
}

static inline struct bytes see_frame(struct jpeg *j, int marker, const unsigned char *b, size_t size)
{
	if (j->components > 0)
		return damaged("a second frame");
	if (size < 6 || size != 6 + 3 * (size_t)b[5] || b[5] < 1 || b[5] > 4)
		return damaged("the frame's header");
	j->progressive = marker == 0xc2;
	j->h = big16(b + 1);
	j->w = big16(b + 3);
	j->components = b[5];
	for (int i = 0; i < j->components; i++) {
		j->id[i] = b[6 + 3 * i];
		j->quantiser[i] = b[8 + 3 * i];
	}
	return check_dimensions(j->w, j->h);
}

static inline struct bytes see_scan(struct jpeg *j, const unsigned char *b, size_t size)
{
	if (++j->scans > MOST_SCANS)
		return text("error: decode: the file has more than %d scans", MOST_SCANS);
	if (j->components == 0 || size < 4 || size != 4 + 2 * (size_t)b[0])
		return damaged("a scan's header");
	/* Of a progressive scan the first coefficient tells which tables it takes. */
	unsigned first = b[size - 3];
	bool dc = !j->progressive || (first == 0 && b[size - 1] >> 4 == 0), ac = !j->progressive || first > 0;
	for (int i = 0; i < b[0]; i++) {
		unsigned tables = b[2 + 2 * i];
		int c = 0;
		while (c < j->components && j->id[c] != b[1 + 2 * i])
			c++;
		if (c == j->components || j->quantiser[c] > 3 || (j->quantisers >> j->quantiser[c] & 1) == 0 ||
		    (dc && (j->huffman_dc >> (tables >> 4) & 1) == 0) || (ac && (j->huffman_ac >> (tables & 15) & 1) == 0))
			return damaged("a scan of a component or a table that is not there");
	}
	return fine;
}

/* skip_data returns where the data of a scan end: at a marker that is not in them,
 * or at the end of the file. */
static inline size_t skip_data(struct bytes file, size_t at)
{
	for (; at + 1 < file.size; at++) {
		const unsigned char *found = memchr(file.at + at, 0xff, file.size - 1 - at);
		if (found == NULL)
			break;
		at = (size_t)(found - file.at);
		if (found[1] != 0 && found[1] != 0xff && (found[1] & 0xf8) != 0xd0)
			return at;
	}
	return file.size;
}

static inline struct bytes look_at_jpeg(struct bytes file, uint32_t *w, uint32_t *h)
{
	struct jpeg j = {0};
	size_t at = 2;

	for (;;) {
		while (at + 1 < file.size && file.at[at] == 0xff && file.at[at + 1] == 0xff)
			at++;
		if (file.size - at < 2)
			return cut_short(file);
		int marker = file.at[at + 1];
		if (file.at[at] != 0xff)
			return damaged("no marker where one must be");
		at += 2;
		if (marker == 0xd9)
			break;
		if (file.size - at < 2 || big16(file.at + at) > file.size - at)
			return cut_short(file);
		size_t size = big16(file.at + at);
		if (size < 2)
			return damaged("the length of a segment");
		const unsigned char *segment = file.at + at + 2;
		struct bytes error = fine;
		switch (marker) {
		case 0xdb:
			error = see_quantisers(&j, segment, size - 2);
			break;
		case 0xc4:
			error = see_huffman(&j, segment, size - 2);
			break;
		case 0xc0: case 0xc1: case 0xc2:
			error = see_frame(&j, marker, segment, size - 2);
			break;
		case 0xda:
			error = see_scan(&j, segment, size - 2);
			break;
		}
		if (error.at != NULL)
			return error;
		at += size;
		if (marker == 0xda)
			at = skip_data(file, at);
	}
	if (j.scans == 0)
		return damaged("it has no picture");
	*w = j.w;
	*h = j.h;
	return fine;
}

static inline struct bytes look_at_png(struct bytes file, uint32_t *w, uint32_t *h)
{
	size_t at = 8;

	for (bool first = true;; first = false) {
		if (file.size - at < 12 || big32(file.at + at) > file.size - at - 12)
			return cut_short(file);
		size_t size = big32(file.at + at);
		const unsigned char *chunk = file.at + at + 8;
		if (first) {
			if (size != 13 || memcmp(chunk - 4, "IHDR", 4) != 0)
				return damaged("it does not begin with its header");
			*w = big32(chunk);
			*h = big32(chunk + 4);
			struct bytes error = check_dimensions(*w, *h);
			if (error.at != NULL)
				return error;
		}
		if (memcmp(chunk - 4, "IEND", 4) == 0)
			return fine;
		at += 12 + size;
	}
}

/* look tells the dimensions of the picture in a file, or why it is not decoded. */
static inline struct bytes look(struct bytes file, uint32_t *w, uint32_t *h)
{
	static const unsigned char jpeg[] = {0xff, 0xd8, 0xff}, png[] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};

	if (file.size >= sizeof jpeg && memcmp(file.at, jpeg, sizeof jpeg) == 0)
		return look_at_jpeg(file, w, h);
	if (file.size >= sizeof png && memcmp(file.at, png, sizeof png) == 0)
		return look_at_png(file, w, h);
	return text("error: decode: the %zu bytes are no JPEG or PNG file", file.size);
}

#endif
