//go:build cgo

package engine

import (
	"fmt"
	"runtime/debug"
)

const (
	modulePath = "github.com/bytecodealliance/wasmtime-go/v39"
	// declared is the only version whose layouts and prototypes capi.h holds.
	declared = "v39.0.1"
)

// linkedVersion returns the version of Wasmtime in this program, and an error
// if the build information names another one than capi.h was written for.
func linkedVersion() (string, error) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return declared, nil
	}
	for _, dep := range info.Deps {
		if dep.Path != modulePath {
			continue
		}
		if dep.Replace != nil {
			dep = dep.Replace
		}
		if err := compatible(dep.Version); err != nil {
			return "", err
		}
		return dep.Version, nil
	}
	return declared, nil
}

// compatible refuses a version that is known and another than declared. A
// replacement by a directory has no version.
func compatible(version string) error {
	if version != "" && version != declared {
		return fmt.Errorf("wasmtime-go %s is linked, but wasmbench knows the layouts of %s only: require %s %s in go.mod",
			version, declared, modulePath, declared)
	}
	return nil
}
