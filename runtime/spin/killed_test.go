package spin_test

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/pidfd"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/rundir"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/rundir/rundirtest"
	"github.com/seed-0132abb7/wasmbench/runtime/spin"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// holdVar makes the test binary hold an instance of the spin at the path that
// is its value, and guestVar names the guest.
const (
	holdVar  = "WASMBENCH_TEST_HOLD"
	guestVar = "WASMBENCH_TEST_GUEST"
)

// hold starts an instance, writes its scope and waits.
func hold(path string) error {
	w := workload.Prebuilt{Label: "held", Files: map[workload.Form]string{workload.CGI: os.Getenv(guestVar)}}
	img, err := spin.New(spin.Options{Path: path, Cache: spin.Off}).Prepare(context.Background(), w)
	if err != nil {
		return err
	}
	inst, err := img.Start(context.Background(), ignore)
	if err != nil {
		return err
	}
	if err := json.NewEncoder(os.Stdout).Encode(inst.Scope()); err != nil {
		return err
	}
	select {}
}

// holdAndKill runs hold on a stand-in in another process, which it kills, and
// returns handles on the processes of the instance.
func holdAndKill(t *testing.T, mode string) []*pidfd.Process {
	t.Helper()
	path, err := guest(t).Artifact(t.Context(), workload.CGI)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), holdVar+"="+standIn(t, mode), guestVar+"="+path)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		cmd.Process.Kill()
		cmd.Wait()
	}()
	var scope runtime.Scope
	if err := json.NewDecoder(out).Decode(&scope); err != nil {
		t.Fatal(err)
	}
	if len(scope.Own) != 2 {
		t.Fatalf("scope %v", scope.Own)
	}
	var held []*pidfd.Process
	for _, pid := range scope.Own {
		p, err := pidfd.Open(pid)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { p.Close() })
		held = append(held, p)
	}
	return held
}

// wantEnd waits until the processes have ended.
func wantEnd(t *testing.T, held []*pidfd.Process) {
	t.Helper()
	for _, p := range held {
		if ended, err := p.Wait(time.Minute); err != nil || !ended {
			t.Errorf("process %d has not ended: %v", p.PID, err)
		}
	}
}

// A trigger that ignores being asked to end outlives a killed harness until
// the next run.
func TestKilledHarness(t *testing.T) {
	host := rundirtest.Watch(t)
	held := holdAndKill(t, "stubborn")
	if len(host.Leftovers(t)) == 0 {
		t.Fatal("the killed process left nothing to sweep")
	}
	if err := rundir.Sweep(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	wantEnd(t, held)
	if left := host.Leftovers(t); len(left) > 0 {
		t.Errorf("left on the host: %q", left)
	}
}

// Where nothing is stubborn both processes end with the harness.
func TestProcessesEndWithTheHarness(t *testing.T) {
	rundirtest.Watch(t)
	wantEnd(t, holdAndKill(t, "normal"))
	if err := rundir.Sweep(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
}
