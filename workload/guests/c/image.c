/* image: the request is a line, and after some lines bytes. `put OFFSET TOTAL` and
 * part of a file, `decode`, what is done to the picture, `OP ... SEED`, and `get OFFSET
 * COUNT` of what it was made of it are stages that are kept. `whole OP ...` and a file
 * do all at once, apart from these, and answer with a file.
 *
 * A picture is 8 bits of red, green and blue in each pixel; of a picture with
 * transparency that is dropped. */
#include "imagefile.h"
#include "picture.h"
#include "scatter.h"

#if !__has_include(<stb/stb_image.h>)
#error "the headers of stb are missing: install libstb-dev"
#endif

/* What stb_image takes at once is bounded by the picture that its file tells of:
 * what is compressed may be a thousand times as large unpacked. */
static size_t most_memory;

static void *take(size_t size) { return size > most_memory ? NULL : malloc(size); }

static void *take_more(void *had, size_t size) { return size > most_memory ? NULL : realloc(had, size); }

#define STBI_MALLOC(size) take(size)
#define STBI_REALLOC(had, size) take_more(had, size)
#define STBI_FREE(had) free(had)
#define STBI_ASSERT(right) ((void)0) /* it asserts what damaged files are not */
#define STBI_NO_STDIO
#define STBI_ONLY_JPEG
#define STBI_ONLY_PNG
#define STBI_NO_THREAD_LOCALS
#if defined(__ARM_NEON) && !defined(STBI_NO_SIMD)
#define STBI_NEON
#endif
#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION
#include <stb/stb_image.h>

#define STBIR_ASSERT(right) ((void)0)
#define STB_IMAGE_RESIZE_STATIC
#define STB_IMAGE_RESIZE_IMPLEMENTATION
#include <stb/stb_image_resize.h>

#define STBI_WRITE_NO_STDIO
#define STB_IMAGE_WRITE_STATIC
#define STB_IMAGE_WRITE_IMPLEMENTATION
#include <stb/stb_image_write.h>

enum { MOST_FILE = 1 << 26, MOST_GET = 1 << 20, MOST_BETWEEN = 16000000, QUALITY = 80 };

/* A buffer keeps its memory for what comes next. */
struct buffer {
	unsigned char *at;
	size_t size, capacity;
};

static bool reserve(struct buffer *b, size_t capacity)
{
	b->size = 0;
	if (capacity <= b->capacity)
		return true;
	free(b->at);
	b->at = malloc(capacity);
	b->capacity = b->at == NULL ? 0 : capacity;
	return b->at != NULL;
}

static void give_up(struct buffer *b)
{
	free(b->at);
	*b = (struct buffer){0};
}

/* A result is what was made of a picture: pixels, or with no bytes for each a file. */
struct result {
	struct buffer bytes;
	int w, h, pixel;
};

struct op {
	enum { RESIZE, ROTATE, BLUR, COMPRESS } kind;
	int w, h;    /* of RESIZE */
	int extent;  /* the radius of BLUR, the quality of COMPRESS */
};

static struct bytes no_memory(const char *what, size_t size) { return text("error: %s: no memory for %zu bytes", what, size); }

static struct bytes decode(struct bytes file, struct picture *p)
{
	uint32_t w = 0, h = 0;
	struct bytes error = look(file, &w, &h);
	int width, height, channels;

	if (error.at != NULL)
		return error;
	/* Its blocks are of up to 32 pixels, its pixels of up to 8 bytes, and what it
	 * takes grows by doubling. */
	most_memory = 16 * (size_t)(w + 31) * (h + 31) + 3 * file.size + 65536;
	p->at = stbi_load_from_memory(file.at, (int)file.size, &width, &height, &channels, CHANNELS);
	if (p->at == NULL)
		return damaged(stbi_failure_reason());
	p->w = width;
	p->h = height;
	return fine;
}

/* append adds to a file that is being written. One that did not fit is empty. */
static void append(void *context, void *data, int size)
{
	struct buffer *b = context;

	if ((size_t)size > b->capacity - b->size) {
		size_t capacity = 2 * b->capacity + (size_t)size;
		unsigned char *larger = b->at == NULL ? NULL : realloc(b->at, capacity);
		if (larger == NULL) {
			give_up(b);
			return;
		}
		b->at = larger;
		b->capacity = capacity;
	}
	memcpy(b->at + b->size, data, (size_t)size);
	b->size += (size_t)size;
}

/* encode makes a JPEG file. To a quality of 90 it has half as much of colour in
 * each direction; above stb_image_write has all of it. */
static struct bytes encode(const struct picture *p, int quality, struct buffer *file)
{
	size_t room = row_size(p->w) * (size_t)p->h / 8 + 4096;

	if (!reserve(file, room) || stbi_write_jpg_to_func(append, file, p->w, p->h, CHANNELS, p->at, quality) == 0 || file->at == NULL)
		return no_memory("compress", room);
	return fine;
}

static struct bytes resize(const struct picture *p, struct result *r)
{
	/* Others than stb make all columns before they make the rows. */
	if ((uint32_t)r->w * (uint32_t)p->h > MOST_BETWEEN)
		return text("error: resize: %d columns of %d rows: want at most %d pixels between the passes", r->w, p->h, MOST_BETWEEN);
	if (stbir_resize_uint8_generic(p->at, p->w, p->h, 0, r->bytes.at, r->w, r->h, 0, CHANNELS, STBIR_ALPHA_CHANNEL_NONE, 0,
		STBIR_EDGE_CLAMP, STBIR_FILTER_CATMULLROM, STBIR_COLORSPACE_LINEAR, NULL) == 0)
		return no_memory("resize", r->bytes.size);
	return fine;
}

/* make makes of a picture what is asked, or an error and nothing. */
static struct bytes make(const struct op *op, const struct picture *p, struct result *r)
{
	struct bytes error = fine;

	r->w = op->kind == RESIZE ? op->w : op->kind == ROTATE ? p->h : p->w;
	r->h = op->kind == RESIZE ? op->h : op->kind == ROTATE ? p->w : p->h;
	r->pixel = op->kind == COMPRESS ? 0 : CHANNELS;
	size_t size = row_size(r->w) * (size_t)r->h;
	if (op->kind == COMPRESS)
		return encode(p, op->extent, &r->bytes);
	if (!reserve(&r->bytes, size + SOME)) /* for blur */
		return no_memory("the result", size);
	if (op->kind == RESIZE)
		error = resize(p, r);
	if (op->kind == ROTATE)
		rotate(p, r->bytes.at);
	if (op->kind == BLUR && !blur(p, r->bytes.at, op->extent))
		error = no_memory("blur", row_size(p->w) * (size_t)(2 * op->extent + 2));
	if (error.at == NULL)
		r->bytes.size = size;
	return error;
}

/* What the stages keep. */
static struct buffer file;
static size_t file_total;
static struct picture decoded;
static struct result result;

static struct bytes put(uint64_t offset, uint64_t total, struct bytes part)
{
	if (offset == 0) {
		file_total = (size_t)total;
		if (!reserve(&file, file_total)) {
			file_total = 0;
			return no_memory("put", (size_t)total);
		}
	}
	if (offset != file.size || total != file_total || part.size > file_total - file.size)
		return text("error: put: %zu bytes at %llu of %llu: there are %zu of %zu", part.size,
			(unsigned long long)offset, (unsigned long long)total, file.size, file_total);
	memcpy(file.at + file.size, part.at, part.size);
	file.size += part.size;
	return text("put %zu", file.size);
}

static struct bytes decode_put(void)
{
	if (file_total == 0 || file.size < file_total)
		return text("error: decode: of the file's %zu bytes %zu were put", file_total, file.size);
	free(decoded.at);
	decoded = (struct picture){0};
	struct bytes error = decode((struct bytes){file.at, file.size}, &decoded);
	if (error.at != NULL)
		return error;
	return text("decode %d %d", decoded.w, decoded.h);
}

/* stage makes of what was decoded what is asked, and answers with 64 of its bytes. */
static struct bytes stage(const struct op *op, const char *name, uint32_t seed)
{
	enum { SAMPLES = 64 };
	char hex[2 * SAMPLES + 1];

	result.bytes.size = 0;
	if (decoded.at == NULL)
		return text("error: %s: no picture was decoded", name);
	struct bytes error = make(op, &decoded, &result);
	if (error.at != NULL)
		return error;
	for (uint32_t i = 0; i < SAMPLES; i++)
		snprintf(hex + 2 * i, 3, "%02x", result.bytes.at[scatter(seed + i) % result.bytes.size]);
	return text("%s %d %d %d %zu %s", name, result.w, result.h, result.pixel, result.bytes.size, hex);
}

static struct bytes get(uint64_t offset, uint64_t count)
{
	if (offset > result.bytes.size || count > result.bytes.size - offset)
		return text("error: get: %llu bytes at %llu of a result of %zu", (unsigned long long)count, (unsigned long long)offset, result.bytes.size);
	return (struct bytes){result.bytes.at + offset, (size_t)count};
}

/* whole answers with a file, in memory that the next request gives up. */
static struct bytes whole(const struct op *op, struct bytes of, struct buffer *reply)
{
	struct picture p = {0};
	struct result made = {0};
	struct bytes error = decode(of, &p);

	if (error.at == NULL)
		error = make(op, &p, &made);
	free(p.at);
	if (error.at == NULL && op->kind == COMPRESS) {
		*reply = made.bytes;
		made = (struct result){0};
	} else if (error.at == NULL) {
		error = encode(&(struct picture){made.bytes.at, made.w, made.h}, QUALITY, reply);
	}
	give_up(&made.bytes);
	return error.at != NULL ? error : (struct bytes){reply->at, reply->size};
}

/* parse reads the fields of what is to be done. */
static bool parse(const struct bytes *fields, size_t n, struct op *op)
{
	uint64_t a, b;

	if (n == 3 && is(fields[0], "resize") && decimal(fields[1], 1, MOST_SIDE, &a) && decimal(fields[2], 1, MOST_SIDE, &b) && a * b <= MOST_PIXELS)
		*op = (struct op){.kind = RESIZE, .w = (int)a, .h = (int)b};
	else if (n == 2 && is(fields[0], "rotate") && is(fields[1], "90"))
		*op = (struct op){.kind = ROTATE};
	else if (n == 2 && is(fields[0], "blur") && decimal(fields[1], 1, MOST_RADIUS, &a))
		*op = (struct op){.kind = BLUR, .extent = (int)a};
	else if (n == 2 && is(fields[0], "compress") && decimal(fields[1], 1, 100, &a))
		*op = (struct op){.kind = COMPRESS, .extent = (int)a};
	else
		return false;
	return true;
}

struct bytes answer(struct bytes request)
{
	static const char *const names[] = {"resize", "rotate", "blur", "compress"};
	static struct buffer reply;
	const unsigned char *end = request.size == 0 ? NULL : memchr(request.at, '\n', request.size);
	struct bytes line = request, rest = {NULL, 0}, fields[4];
	size_t n = 0;
	uint64_t a, b;
	struct op op;

	give_up(&reply);
	if (end != NULL) {
		line.size = (size_t)(end - request.at);
		rest = (struct bytes){end + 1, request.size - line.size - 1};
		for (n = 4; n > 0 && !split(line, fields, n); n--)
			;
	}
	if (n == 3 && is(fields[0], "put") && decimal(fields[1], 0, MOST_FILE, &a) && decimal(fields[2], 1, MOST_FILE, &b))
		return put(a, b, rest);
	if (n > 1 && is(fields[0], "whole") && parse(fields + 1, n - 1, &op))
		return whole(&op, rest, &reply);
	if (rest.size == 0) {
		if (n == 1 && is(fields[0], "decode"))
			return decode_put();
		if (n == 3 && is(fields[0], "get") && decimal(fields[1], 0, UINT32_MAX, &a) && decimal(fields[2], 0, MOST_GET, &b))
			return get(a, b);
		if (n > 1 && parse(fields, n - 1, &op) && decimal(fields[n - 1], 0, UINT32_MAX, &a))
			return stage(&op, names[op.kind], (uint32_t)a);
	}
	return refuse(request, "a line of put OFFSET TOTAL and bytes, decode, resize W H SEED, rotate 90 SEED, blur R SEED, compress Q SEED, "
		"get OFFSET COUNT, or whole OP and a file; TOTAL to 67108864, COUNT to 1048576, W and H to 16384 and 40000000 pixels, R to 32, Q to 100");
}
