package photo

import (
	"fmt"
	"image"
	"image/draw"
	"math"
)

// PSNR returns the peak signal-to-noise ratio between two pictures of the same
// dimensions, in decibels: 10 log10(255²/MSE), where MSE is the mean over all pixels and
// the three colours of the square of the difference (Salomon, "Data Compression: The
// Complete Reference", 4th edition, 4.2.2). Of equal ones it is +Inf. Where a picture is
// transparent, black counts.
func PSNR(a, b image.Image) (dB float64, err error) {
	size := a.Bounds().Size()
	if other := b.Bounds().Size(); other != size {
		return 0, fmt.Errorf("photo: a picture of %dx%d pixels is compared with one of %dx%d", size.X, size.Y, other.X, other.Y)
	}
	if size.X == 0 || size.Y == 0 {
		return 0, fmt.Errorf("photo: there are no pixels to compare")
	}
	var sum uint64
	for y := range size.Y {
		rowA, rowB := pixelsOf(a, y), pixelsOf(b, y)
		for i := range rowA {
			if i%4 != 3 {
				d := int64(rowA[i]) - int64(rowB[i])
				sum += uint64(d * d)
			}
		}
	}
	mean := float64(sum) / float64(3*size.X*size.Y)
	return 10 * math.Log10(255*255/mean), nil
}

// pixelsOf returns a row in the bytes of an RGBA.
func pixelsOf(m image.Image, y int) []byte {
	from := image.Pt(m.Bounds().Min.X, m.Bounds().Min.Y+y)
	width := m.Bounds().Dx()
	if m, ok := m.(*image.RGBA); ok {
		return m.Pix[m.PixOffset(from.X, from.Y):][:4*width]
	}
	row := image.NewRGBA(image.Rect(0, 0, width, 1))
	draw.Draw(row, row.Rect, m, from, draw.Src)
	return row.Pix
}
