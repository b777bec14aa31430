package runc_test

import (
	"testing"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/rundir/rundirtest"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/rundir/rundirtest/webtest"
	"github.com/seed-0132abb7/wasmbench/runtime/runc"
)

func TestBridge(t *testing.T) {
	_, host := prepare(t, "missing") // skips, and looks for what is left
	r := runc.New(runc.Options{}).(runtime.Server)
	rundirtest.Bridge(t, host, r)
	rundirtest.FailsOnBridge(t, host, r)
}

func TestWebGuests(t *testing.T) {
	_, host := prepare(t, "missing")
	webtest.Guests(t, host, runc.New(runc.Options{}).(runtime.Server))
}
