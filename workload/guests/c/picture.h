/* What is done to pictures: rows of pixels of three bytes, red, green and blue,
 * without gaps. */
#ifndef WASMBENCH_PICTURE_H
#define WASMBENCH_PICTURE_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifdef __wasm_simd128__
#include <wasm_simd128.h>
#endif

enum { CHANNELS = 3, MOST_RADIUS = 32 };

struct picture {
	unsigned char *at;
	int w, h;
};

static inline size_t row_size(int w) { return (size_t)w * CHANNELS; }

/* rotate turns a picture clockwise by 90 degrees, in blocks of which both the rows
 * read and the rows written stay in the cache. */
static inline void rotate(const struct picture *in, unsigned char *out)
{
	enum { BLOCK = 32 };

	for (int top = 0; top < in->h; top += BLOCK) {
		int end = top + BLOCK < in->h ? top + BLOCK : in->h;
		for (int left = 0; left < in->w; left += BLOCK) {
			for (int x = left; x < left + BLOCK && x < in->w; x++) {
				unsigned char *to = out + row_size(in->h) * (size_t)x + row_size(in->h - end);
				const unsigned char *from = in->at + row_size(in->w) * (size_t)(end - 1) + row_size(x);
				for (int y = end; y > top; y--) {
					to[0] = from[0];
					to[1] = from[1];
					to[2] = from[2];
					to += CHANNELS;
					from -= row_size(in->w);
				}
			}
		}
	}
}

/* weigh makes the weights of the middle of a blur and of what is 1 to r pixels off,
 * on one side; all of both sides are 65536 together. */
static inline void weigh(uint32_t *weights, int r)
{
	double sigma = r / 3.0, sum = 1, of[MOST_RADIUS + 1];

	for (int k = 1; k <= r; k++) {
		of[k] = exp(-k * k / (2 * sigma * sigma));
		sum += 2 * of[k];
	}
	weights[0] = 65536;
	for (int k = 1; k <= r; k++) {
		weights[k] = (uint32_t)(of[k] / sum * 65536 + 0.5);
		weights[0] -= 2 * weights[k];
	}
}

/* sum_some weighs a few bytes of each of 2r+1 rows: so many that their sums are kept
 * in registers. Of a row before the middle and the one as far after it the sum is
 * weighed. */
#if !defined(STBI_NO_SIMD) && (defined(__SSE2__) || defined(__ARM_NEON) || defined(__wasm_simd128__))
enum { SOME = 16 };

typedef uint8_t bytes8 __attribute__((vector_size(8)));
typedef uint16_t halves8 __attribute__((vector_size(16)));
typedef uint32_t words8 __attribute__((vector_size(32)));

static inline halves8 load8(const unsigned char *from)
{
	bytes8 b;

	memcpy(&b, from, sizeof b);
	return __builtin_convertvector(b, halves8);
}

/* add_product adds to the sums the products of numbers and a weight of 16 bits. */
static inline void add_product(words8 *sums, halves8 of, uint32_t weight)
{
#ifdef __wasm_simd128__
	/* Compilers have these instructions only by their names. */
	v128_t weights = wasm_u16x8_splat((uint16_t)weight), halves[2] = {
		wasm_u32x4_extmul_low_u16x8((v128_t)of, weights), wasm_u32x4_extmul_high_u16x8((v128_t)of, weights)};
	words8 products;
	memcpy(&products, halves, sizeof products);
	*sums += products;
#else
	*sums += (uint16_t)weight * __builtin_convertvector(of, words8);
#endif
}

static inline void sum_some(unsigned char *out, const unsigned char *const *rows, size_t at, const uint32_t *weights, int r)
{
	words8 sums[SOME / 8];

	for (int i = 0; i < SOME / 8; i++) {
		sums[i] = (words8){0} + 32768;
		add_product(&sums[i], load8(rows[r] + at + 8 * i), weights[0]);
	}
	for (int k = 1; k <= r; k++) {
		const unsigned char *before = rows[r - k] + at, *after = rows[r + k] + at;
		for (int i = 0; i < SOME / 8; i++)
			add_product(&sums[i], load8(before + 8 * i) + load8(after + 8 * i), weights[k]);
	}
	for (int i = 0; i < SOME / 8; i++) {
		bytes8 b = __builtin_convertvector(sums[i] >> 16, bytes8);
		memcpy(out + at + 8 * i, &b, sizeof b);
	}
}
#else
enum { SOME = 4 };

static inline void sum_some(unsigned char *out, const unsigned char *const *rows, size_t at, const uint32_t *weights, int r)
{
	uint32_t sums[SOME];

	for (int i = 0; i < SOME; i++)
		sums[i] = 32768 + weights[0] * rows[r][at + (size_t)i];
	for (int k = 1; k <= r; k++) {
		const unsigned char *before = rows[r - k] + at, *after = rows[r + k] + at;
		for (int i = 0; i < SOME; i++)
			sums[i] += weights[k] * ((uint32_t)before[i] + after[i]);
	}
	for (int i = 0; i < SOME; i++)
		out[at + (size_t)i] = (unsigned char)(sums[i] >> 16);
}
#endif

/* sum_rows makes a row of size bytes of the weighted sums of 2r+1 rows, which have
 * bytes that do not matter after their end, as out has. */
static inline void sum_rows(unsigned char *out, const unsigned char *const *rows, size_t size, const uint32_t *weights, int r)
{
	for (size_t at = 0; at < size; at += SOME)
		sum_some(out, rows, at, weights, r);
}

/* blur_row blurs a row along itself. padded has room for it and for r pixels on
 * either side, which are made those at its ends. */
static inline void blur_row(unsigned char *out, const unsigned char *in, int w, unsigned char *padded, const uint32_t *weights, int r)
{
	const unsigned char *rows[2 * MOST_RADIUS + 1];

	memcpy(padded + row_size(r), in, row_size(w));
	for (int i = 0; i < r; i++) {
		memcpy(padded + row_size(i), in, CHANNELS);
		memcpy(padded + row_size(r + w + i), in + row_size(w - 1), CHANNELS);
	}
	for (int k = 0; k <= 2 * r; k++)
		rows[k] = padded + row_size(k);
	sum_rows(out, rows, row_size(w), weights, r);
}

/* blur blurs a picture by a Gaussian that reaches r pixels far: first along the
 * rows, of which it keeps as many as it takes, and then across them. It tells
 * whether there was memory. It writes SOME bytes after the end of out. */
static inline bool blur(const struct picture *in, unsigned char *out, int r)
{
	const unsigned char *rows[2 * MOST_RADIUS + 1];
	uint32_t weights[MOST_RADIUS + 1];
	size_t size = row_size(in->w), stride = size + SOME;
	int ring = 2 * r + 1, made = 0;
	unsigned char *kept = calloc(stride * (size_t)ring + row_size(in->w + 2 * r) + SOME, 1);

	if (kept == NULL)
		return false;
	weigh(weights, r);
	for (int y = 0; y < in->h; y++) {
		for (; made < in->h && made <= y + r; made++)
			blur_row(kept + stride * (size_t)(made % ring), in->at + size * (size_t)made, in->w, kept + stride * (size_t)ring, weights, r);
		for (int k = -r; k <= r; k++) {
			int of = y + k < 0 ? 0 : y + k < in->h ? y + k : in->h - 1;
			rows[r + k] = kept + stride * (size_t)(of % ring);
		}
		sum_rows(out + size * (size_t)y, rows, size, weights, r);
	}
	free(kept);
	return true;
}

#endif
