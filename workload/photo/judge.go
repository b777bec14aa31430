package photo

import (
	"bytes"
	"fmt"
	"image"
	"image/jpeg"
	"math"

	"github.com/seed-0132abb7/wasmbench/workload"
)

// exact are the least PSNRs of right results in decibels, when they are compared with
// what is made of a picture that was no JPEG before. Measured of photos of 1, 5 and
// 10 MB: Catmull-Rom has 43 and more, what is bilinear 40.5 and less; turned pixels
// have 38 and more, for the JPEG's colours are coarser than they, and those a pixel off
// 23; a blur has 50, one of radius 4 or 6 has 44 and less.
var exact = map[workload.ImageOp]float64{workload.Resize: 41.5, workload.Rotate: 34, workload.Blur: 46}

// enlarged is that of Resize where it makes little smaller, or larger: then the colours
// of the JPEG show.
const enlarged = 34

// Judge returns an error where result is not what op makes of the photo. It is a
// workload.ImageJudge for workload.NewPicture.
func (p *Photo) Judge(op workload.ImageOp, result image.Image) error {
	least, ok := exact[op]
	switch {
	case !ok:
		return p.JudgeJPEG(op, result)
	case op == workload.Resize && p.Width < 1200:
		least = enlarged
	}
	return p.judge(op, result, least, math.Inf(1))
}

// JudgeJPEG is Judge of what was made a JPEG of quality 80 after that, for
// workload.Image: neither more nor less should be lost than by such a JPEG of what is
// right. One of quality 70 differs by more than that, and one of quality 90.
func (p *Photo) JudgeJPEG(op workload.ImageOp, result image.Image) error {
	const less, more = 0.5, 1
	usual, err := p.loss(op)
	if err != nil {
		return err
	}
	return p.judge(op, result, usual-less, usual+more)
}

func (p *Photo) judge(op workload.ImageOp, result image.Image, least, most float64) error {
	right, err := p.Golden(op)
	if err != nil {
		return err
	}
	got, err := PSNR(result, right)
	if err != nil {
		return err
	}
	if got < least || got > most {
		return fmt.Errorf("photo: %s has a PSNR of %.2f dB to what is right, want %.2f to %.2f", op, got, least, most)
	}
	return nil
}

// loss returns what PSNR the golden result has to itself as a JPEG of quality 80.
func (p *Photo) loss(op workload.ImageOp) (dB float64, err error) {
	right, err := p.Golden(op)
	if err != nil {
		return 0, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if usual, ok := p.losses[op]; ok {
		return usual, nil
	}
	var file bytes.Buffer
	if err := jpeg.Encode(&file, right, &jpeg.Options{Quality: 80}); err != nil {
		return 0, fmt.Errorf("photo: %w", err)
	}
	left, err := jpeg.Decode(&file)
	if err != nil {
		return 0, fmt.Errorf("photo: %w", err)
	}
	p.losses[op], err = PSNR(left, right)
	return p.losses[op], err
}
