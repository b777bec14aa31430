package photo

import (
	"context"
	"image"
	"math"
	"math/rand/v2"
	goruntime "runtime"
	"sync"
)

// A thing is a disc that hides what earlier ones show behind it. Lengths are in widths
// of the picture, so that one of more pixels shows the same with more detail.
type thing struct {
	x, y, radius float32
	colour       [3]float32 // red, green and blue in its middle
	slope        [2]float32 // how much lighter it grows to the right and downwards, for a width
}

// things strews discs whose number falls with the cube of the radius: a picture of what
// hides each other so has the statistics of a scene in nature, edges among them, at any
// scale (Lee, Mumford and Huang, "Occlusion Models for Natural Images", 2001).
func things() []thing {
	const (
		count = 4000
		least = 0.004
		most  = 0.25
	)
	r := rand.New(rand.NewPCG(7, 2026))
	all := make([]thing, count)
	for i := range all {
		x, y := r.Float32(), 0.75*r.Float32()
		light := 50 + 130*r.Float32() + 80*(0.4-y) // which comes from above
		warm, green := 40*(r.Float32()-0.5), 30*(r.Float32()-0.5)
		all[i] = thing{
			x: x, y: y,
			radius: float32(least / math.Sqrt(1-r.Float64()*(1-least*least/(most*most)))),
			colour: [3]float32{light + warm, light + green, light - warm},
			slope:  [2]float32{200 * (r.Float32() - 0.5), 200 * (r.Float32() - 0.5)},
		}
	}
	return all
}

// An octave is noise that is smooth between the points of a lattice.
type octave struct {
	seed   uint32
	cell   float32 // how far these lie apart, in pixels
	across []between
}

// between is where a pixel lies on a lattice: after a point, and how much the next one
// counts there.
type between struct {
	point int32
	next  float32
}

// octaves are those of surfaces, from a quarter of the width on. All are as strong as
// each other, as what lies in nature is at all scales.
func octaves(width int) []octave {
	var all []octave
	for cell := float32(width) / 4; cell >= 2; cell /= 2 {
		o := octave{seed: mix(uint32(len(all))), cell: cell, across: make([]between, width)}
		for x := range o.across {
			o.across[x] = place(x, cell)
		}
		all = append(all, o)
	}
	return all
}

func place(pixel int, cell float32) between {
	at := float32(pixel) / cell
	point := int32(at)
	t := at - float32(point)
	return between{point, t * t * (3 - 2*t)}
}

// expose returns a picture of the scene of so many pixels, whose alpha is 255.
func expose(ctx context.Context, width, height int) (*image.RGBA, error) {
	picture := image.NewRGBA(image.Rect(0, 0, width, height))
	things, octaves := things(), octaves(width)
	var wait sync.WaitGroup
	workers := goruntime.GOMAXPROCS(0)
	for worker := range workers {
		wait.Go(func() {
			r := newRow(width)
			for y := worker; y < height && ctx.Err() == nil; y += workers {
				r.paint(y, things)
				r.roughen(y, octaves)
				r.develop(y, picture.Pix[y*picture.Stride:][:4*width])
			}
		})
	}
	wait.Wait()
	return picture, context.Cause(ctx)
}

// A row is one of the picture's while it is made.
type row struct {
	colour  [][3]float32
	light   []float32 // what surfaces add to all three
	lattice []float32
}

func newRow(width int) *row {
	return &row{colour: make([][3]float32, width), light: make([]float32, width), lattice: make([]float32, width+2)}
}

// paint has the row show the things before a sky.
func (r *row) paint(y int, things []thing) {
	width := float32(len(r.light))
	down := float32(y) / width
	for x := range r.colour {
		r.colour[x] = [3]float32{150 + 40*down, 180 + 40*down, 220 + 40*down}
	}
	for _, t := range things {
		radius, dy := t.radius*width, float32(y)-t.y*width
		reach := (radius+1)*(radius+1) - dy*dy
		if reach <= 0 {
			continue
		}
		half := float32(math.Sqrt(float64(reach)))
		inverse := 1 / (2 * radius)
		from, to := max(0, int(t.x*width-half)), min(len(r.light), int(t.x*width+half)+1)
		for x := from; x < to; x++ {
			dx := float32(x) - t.x*width
			// How much of the pixel is within the edge, nearly.
			cover := min((radius*radius-dx*dx-dy*dy)*inverse+0.5, 1)
			if cover <= 0 {
				continue
			}
			shade := (t.slope[0]*dx + t.slope[1]*dy) / width
			c := &r.colour[x]
			for i := range c {
				c[i] += cover * (t.colour[i] + shade - c[i])
			}
		}
	}
}

// roughen gives what is shown its surface.
func (r *row) roughen(y int, octaves []octave) {
	const strength = 20 // in levels of 255
	clear(r.light)
	for _, o := range octaves {
		down := place(y, o.cell)
		line, after := mix(o.seed^uint32(down.point)), mix(o.seed^uint32(down.point+1))
		for i := range o.across[len(o.across)-1].point + 2 {
			above := noise(uint32(i), line)
			r.lattice[i] = strength * (above + down.next*(noise(uint32(i), after)-above))
		}
		for x, at := range o.across {
			from := r.lattice[at.point]
			r.light[x] += from + at.next*(r.lattice[at.point+1]-from)
		}
	}
}

// develop makes bytes of the row, with the grain of a sensor: the smaller its pixels
// are, the more of it.
func (r *row) develop(y int, pixels []byte) {
	const seed = 1 << 16
	grain := 18 * float32(math.Sqrt(float64(len(r.light))/1200))
	line := mix(uint32(y) + seed)
	for x, light := range r.light {
		light += grain * noise(uint32(x), line)
		to := pixels[4*x : 4*x+4]
		for i, c := range r.colour[x] {
			to[i] = byte(min(255, max(0, int32(c+light))))
		}
		to[3] = 255
	}
}

// noise is a number from -1 to 1 for each place in a line, more often one near 0.
func noise(place, line uint32) float32 {
	n := mix(place ^ line)
	return float32(n&0xffff+n>>16)/0xffff - 1
}

// mix makes numbers look random that are close to each other.
func mix(n uint32) uint32 {
	n ^= n >> 16
	n *= 0x7feb352d
	n ^= n >> 15
	n *= 0x846ca68b
	return n ^ n>>16
}
