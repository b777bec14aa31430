package rundirtest

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/workload"
)

//go:embed testdata/server.go.txt
var serverSource []byte

// Web is a workload whose guest serves: it answers "hello " and the request.
// Mode, if not "", makes it misbehave: "exits" at once, "deaf" to requests,
// "missing" from its image, a "script" without its interpreter, or, on a
// request, "dies".
type Web struct {
	Echo
}

// Artifact compiles the server.
func (w Web) Artifact(ctx context.Context, f workload.Form) (string, error) {
	if f != workload.ServerRootFS {
		return "", fmt.Errorf("no form %s", f)
	}
	root := filepath.Join(w.Dir, "web"+w.Mode)
	for _, d := range []string{"dev", "proc", "sys", "tmp"} {
		if err := os.MkdirAll(filepath.Join(root, d), 0o755); err != nil {
			return "", err
		}
	}
	guest := filepath.Join(root, "guest")
	switch w.Mode {
	case "missing":
		return root, nil
	case "script":
		return root, os.WriteFile(guest, []byte("#!/usr/bin/no-such-interpreter\n"), 0o755)
	}
	if _, err := os.Stat(guest); err == nil {
		return root, nil
	}
	// One program for all modes: to link it takes seconds.
	program := filepath.Join(w.Dir, "server")
	if _, err := os.Stat(program); err != nil {
		if err := compile(ctx, w.Dir, serverSource, "", program); err != nil {
			return "", err
		}
	}
	return root, errors.Join(os.WriteFile(filepath.Join(root, "mode"), []byte(w.Mode), 0o644), os.Link(program, guest))
}

// Interval is between two tries of a server that may not listen yet, which it takes
// the processor from.
const Interval = time.Millisecond

// Get posts a request, in the service's network, until it is answered with status
// 200, the service ends or ctx does. It returns the answer, or what the service
// makes of the last error.
func Get(ctx context.Context, s runtime.Service, request []byte) ([]byte, error) {
	client := Client(s)
	for {
		answer, err := post(ctx, client, "http://"+s.Address()+"/", request)
		if err == nil {
			return answer, nil
		}
		select {
		case <-s.Ended():
			return nil, s.Explain(err)
		case <-ctx.Done():
			return nil, s.Explain(err)
		case <-time.After(Interval):
		}
	}
}

func post(ctx context.Context, client *http.Client, url string, request []byte) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(request))
	if err != nil {
		return nil, err
	}
	response, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %s", response.Status)
	}
	return answer, err
}
