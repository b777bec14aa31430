package enginehost

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/seed-0132abb7/wasmbench/runtime"
)

func TestReport(t *testing.T) {
	long := strings.Repeat("p", 3000)
	for _, want := range []Report{
		{},
		{Begun: 1, Loaded: 1 << 62},
		{Begun: 7, Regions: []runtime.Region{{Kind: runtime.LinearMemory, Start: 1 << 40, End: 1<<40 + 4<<30}}},
		{Loaded: 7, Regions: []runtime.Region{{Kind: runtime.ModuleCode, Path: long}, {Kind: runtime.LinearMemory, End: 1}}},
	} {
		b := want.encode()
		got, err := ReadReport(io.MultiReader(bytes.NewReader(b), strings.NewReader("what follows")))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%+v was read as %+v, error %v", want, got, err)
		}
		for n := range b {
			if _, err := ReadReport(bytes.NewReader(b[:n])); !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%d bytes of %d: error %v", n, len(b), err)
			}
		}
	}
}

func TestUnreadableReport(t *testing.T) {
	whole := (&Report{Regions: []runtime.Region{{Path: "path"}}}).encode()
	resized := func(size uint32) []byte {
		b := bytes.Clone(whole)
		binary.LittleEndian.PutUint32(b, size)
		return b
	}
	tooLongPath := bytes.Clone(whole)
	tooLongPath[len(tooLongPath)-5]++ // the upper byte of its length
	for name, b := range map[string][]byte{
		"no room for the times": resized(15),
		"too long":              resized(maxReport + 1),
		"half a region":         resized(20),
		"a path too long":       tooLongPath,
	} {
		if _, err := ReadReport(bytes.NewReader(b)); !errors.Is(err, errReport) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}
