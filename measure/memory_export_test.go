package measure

import (
	"context"
	"time"

	"github.com/prometheus/procfs"
)

// FootprintIn reads the footprint of a process below another directory than /proc.
func FootprintIn(dir string, pid int) (Footprint, error) {
	proc, err := procfs.NewFS(dir)
	if err != nil {
		return Footprint{}, err
	}
	return footprintOf(proc, pid)
}

// Swing is KernelFloor of another value.
func Swing(ctx context.Context, window time.Duration, read func(context.Context) (int64, error)) (int64, error) {
	return swing(ctx, window, read)
}

// StackPointers returns those of a process's threads, by another way to read files.
func StackPointers(pid int, read func(path string) ([]byte, error)) ([]uintptr, error) {
	return stackPointers(pid, read)
}

// PlantHoldings returns a scaling that has read 1, 2 and 3 instances of 1000 bytes,
// 7 of them swapped out, with so much memory of the kernel.
func PlantHoldings(floor int64, kernel []int64) *Scaling {
	s := &Scaling{}
	for i, k := range kernel {
		n := int64(i + 1)
		own := Footprint{PSS: n * 993, Swap: n * 7}
		s.holdings = append(s.holdings, Holding{Instances: int(n), Usage: Usage{Own: own}, Kernel: k, Floor: floor})
	}
	return s
}
