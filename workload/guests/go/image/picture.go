package main

import (
	"encoding/binary"
	"image"
	"math"

	"golang.org/x/image/draw"
)

func resize(out, in *image.RGBA) {
	draw.CatmullRom.Scale(out, out.Rect, in, in.Rect, draw.Src, nil)
}

// rotate turns a picture clockwise by 90 degrees, in blocks of which both the rows
// read and the rows written stay in the cache.
func rotate(out, in *image.RGBA) {
	const block = 32
	w, h := in.Rect.Dx(), in.Rect.Dy()
	for top := 0; top < h; top += block {
		end := min(top+block, h)
		for left := 0; left < w; left += block {
			for x := left; x < min(left+block, w); x++ {
				to := out.Pix[x*out.Stride+4*(h-end):][: 4*(end-top) : 4*(end-top)]
				from := in.Pix[4*x:]
				at := (end - 1) * in.Stride
				for ; len(to) >= 4; to = to[4:] {
					binary.LittleEndian.PutUint32(to, binary.LittleEndian.Uint32(from[at:at+4]))
					at -= in.Stride
				}
			}
		}
	}
}

// weigh returns the weights of the middle of a blur and of what is 1 to r pixels off,
// on one side; all of both sides are 65536 together.
func weigh(r int) []uint32 {
	sigma := float64(r) / 3
	sum, of := 1.0, make([]float64, r+1)
	for k := 1; k <= r; k++ {
		of[k] = math.Exp(-float64(k*k) / (2 * sigma * sigma))
		sum += 2 * of[k]
	}
	weights := make([]uint32, r+1)
	weights[0] = 65536
	for k := 1; k <= r; k++ {
		weights[k] = uint32(of[k]/sum*65536 + 0.5)
		weights[0] -= 2 * weights[k]
	}
	return weights
}

// sumRows makes a row of the weighted sums of 2r+1 rows, which are as long or longer.
// sums has room for one number for each byte.
func sumRows(out []byte, rows [][]byte, weights, sums []uint32) {
	r := len(weights) - 1
	sums = sums[:len(out)]
	middle := rows[r][:len(out)]
	for i := range sums {
		sums[i] = 32768 + weights[0]*uint32(middle[i])
	}
	for k := 1; k <= r; k++ {
		before, after, weight := rows[r-k][:len(out)], rows[r+k][:len(out)], weights[k]
		for i := range sums {
			sums[i] += weight * (uint32(before[i]) + uint32(after[i]))
		}
	}
	for i := range out {
		out[i] = byte(sums[i] >> 16)
	}
}

// blur blurs a picture by a Gaussian that reaches r pixels far: first along the rows,
// of which it keeps as many as it takes, and then across them.
func blur(out, in *image.RGBA, r int) {
	weights, h, size := weigh(r), in.Rect.Dy(), 4*in.Rect.Dx()
	kept := make([][]byte, 2*r+1)
	for i := range kept {
		kept[i] = make([]byte, size)
	}
	rows := make([][]byte, 2*r+1)
	padded, sums := make([]byte, size+8*r), make([]uint32, size)
	made := 0
	for y := range h {
		for ; made < min(h, y+r+1); made++ {
			row := in.Pix[made*in.Stride:][:size]
			copy(padded[4*r:], row)
			for i := range r {
				copy(padded[4*i:], row[:4])
				copy(padded[4*r+size+4*i:], row[size-4:])
			}
			for k := range rows {
				rows[k] = padded[4*k:]
			}
			sumRows(kept[made%len(kept)], rows, weights, sums)
		}
		for k := range rows {
			rows[k] = kept[min(max(y+k-r, 0), h-1)%len(kept)]
		}
		sumRows(out.Pix[y*out.Stride:][:size], rows, weights, sums)
	}
}
