package spin_test

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/BurntSushi/toml"
)

// The test binary stands in for spin where it is executed under a name of the
// form spin-MODE: it takes the same command line, starts a trigger as a second
// process and says and does what Spin is documented to. The mode makes it
// misbehave.

// standInPrefix begins the names under which the test binary is spin.
const standInPrefix = "spin-"

// standIn links the test binary under the name for a mode and returns its path.
func standIn(t testing.TB, mode string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), standInPrefix+mode)
	if err := os.Symlink(self, path); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestMain(m *testing.M) {
	if mode, ok := strings.CutPrefix(filepath.Base(os.Args[0]), standInPrefix); ok && len(os.Args) > 1 {
		if err := runStandIn(mode, os.Args[1:]); err != nil {
			fmt.Fprintf(os.Stderr, "Error: %v\n", err)
			exit(1)
		}
		exit(0)
	}
	if path, ok := os.LookupEnv(holdVar); ok {
		if err := hold(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// exit ends the stand-in without the second that the race detector waits for
// reports.
func exit(code int) { syscall.Exit(code) }

func runStandIn(mode string, args []string) error {
	switch args[0] {
	case "--version":
		return standInVersion(mode)
	case "up":
		return standInUp(mode, args[1:])
	case "trigger":
		if len(args) < 2 || args[1] != "http" {
			return fmt.Errorf("no trigger %q", args[1:])
		}
		return standInTrigger(mode, args[2:])
	}
	return fmt.Errorf("unrecognized subcommand %q", args[0])
}

func standInVersion(mode string) error {
	switch mode {
	case "old":
		fmt.Println("spin 1.5.1 (9a67ee4 2023-10-05)")
	case "checker":
		fmt.Println("Spin Version 6.5.2 -- 6 December 2019")
	case "broken":
		return errors.New("libssl.so.1.1: cannot open shared object file")
	case "hangs":
		time.Sleep(time.Hour)
	default:
		fmt.Println("spin 3.5.0 (0000000 2025-10-27)")
	}
	return nil
}

// standInUp parses its own options and gives all others to the trigger.
func standInUp(mode string, args []string) error {
	var from, temp string
	var rest []string
	for len(args) > 0 {
		switch {
		case args[0] == "--from" && len(args) > 1:
			from, args = args[1], args[2:]
		case args[0] == "--temp" && len(args) > 1:
			temp, args = args[1], args[2:]
		default:
			rest, args = append(rest, args[0]), args[1:]
		}
	}
	if mode == "exits" {
		return errors.New("Failed to load application")
	}
	lock := filepath.Join(temp, "spin.lock")
	if _, err := os.Stat(lock); err == nil {
		return fmt.Errorf("%s is another instance's", temp)
	}
	if err := os.WriteFile(lock, []byte(from), 0o600); err != nil {
		return err
	}
	trigger := exec.Command(os.Args[0], append([]string{"trigger", "http"}, rest...)...)
	trigger.Env = append(os.Environ(), "SPIN_LOCKED_URL=file://"+lock, "SPIN_WORKING_DIR="+temp)
	trigger.Stdout, trigger.Stderr = os.Stdout, os.Stderr
	if err := trigger.Start(); err != nil {
		return err
	}
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		<-asked
		if mode == "leaks" {
			exit(0)
		}
		trigger.Process.Signal(syscall.SIGTERM)
	}()
	return trigger.Wait()
}

// standInTrigger serves the one route of the manifest.
func standInTrigger(mode string, args []string) error {
	fs := flag.NewFlagSet("trigger", flag.ContinueOnError)
	listen := fs.String("listen", "127.0.0.1:3000", "")
	stateDir, logDir := fs.String("state-dir", ".spin", ""), fs.String("log-dir", "", "")
	noCache, noPooling := fs.Bool("disable-cache", false, ""), fs.Bool("disable-pooling", false, "")
	if err := fs.Parse(args); err != nil || fs.NArg() > 0 {
		return fmt.Errorf("arguments %q: %v", args, err)
	}
	from, err := os.ReadFile(strings.TrimPrefix(os.Getenv("SPIN_LOCKED_URL"), "file://"))
	if err != nil {
		return err
	}
	guest, err := readManifest(string(from))
	if err != nil {
		return err
	}
	if !*noCache && mode != "nocache" {
		compiled := filepath.Join(os.Getenv("XDG_CACHE_HOME"), "wasmtime", "modules")
		if err := errors.Join(os.MkdirAll(compiled, 0o700), os.WriteFile(filepath.Join(compiled, "code"), guest, 0o600)); err != nil {
			return err
		}
	}
	for _, dir := range []string{*stateDir, *logDir} {
		if err := os.WriteFile(filepath.Join(dir, "written"), nil, 0o600); err != nil {
			return err
		}
	}
	l, err := net.Listen("tcp", *listen)
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%s is already in use. To have Spin search for a free port, use the --find-free-port option.", *listen)
	}
	if err != nil {
		return err
	}
	if mode == "stubborn" || mode == "leaks" {
		signal.Ignore(syscall.SIGINT, syscall.SIGTERM)
	}
	announce(mode, l.Addr())
	return http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.Method != http.MethodPost || r.URL.Path != "/" {
			http.Error(w, "not the route", http.StatusNotFound)
			return
		}
		switch string(body) {
		case "args":
			fmt.Fprintf(w, "cache=%t pooling=%t", !*noCache, !*noPooling)
		case "env":
			io.WriteString(w, strings.Join(os.Environ(), "\n"))
		case "fail":
			http.Error(w, "the guest trapped", http.StatusInternalServerError)
		case "elsewhere":
			http.Redirect(w, r, "/other", http.StatusFound)
		case "die":
			fmt.Fprintln(os.Stderr, "out of address space")
			exit(70)
		case "mute":
			<-r.Context().Done()
		case "endless":
			for err == nil {
				_, err = w.Write(make([]byte, 1<<20))
			}
		default:
			fmt.Fprintf(w, "hello %s", body)
		}
	}))
}

// announce prints what Spin prints, in as many writes.
func announce(mode string, addr net.Addr) {
	fmt.Fprintln(os.Stderr, "Logging component stdio to somewhere")
	switch mode {
	case "silent":
		return
	case "garbage":
		fmt.Println("Serving suggestion")
		return
	case "portless":
		addr = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}
	case "chatty":
		fmt.Println(strings.Repeat("x", 1<<20))
	}
	fmt.Print("\nServing")
	fmt.Print(" ")
	fmt.Printf("http://%s\n", addr)
	fmt.Printf("Available Routes:\n  guest: http://%s\n", addr)
}

// readManifest reads spin.toml as Spin does, which takes no unknown key, and
// returns the guest.
func readManifest(path string) ([]byte, error) {
	var m struct {
		Version     int `toml:"spin_manifest_version"`
		Application struct {
			Name    string `toml:"name"`
			Version string `toml:"version"`
		} `toml:"application"`
		Trigger struct {
			HTTP []struct {
				Route     string `toml:"route"`
				Component string `toml:"component"`
				Executor  struct {
					Type string `toml:"type"`
				} `toml:"executor"`
			} `toml:"http"`
		} `toml:"trigger"`
		Component map[string]struct {
			Source string `toml:"source"`
		} `toml:"component"`
	}
	meta, err := toml.DecodeFile(path, &m)
	if err != nil {
		return nil, err
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		return nil, fmt.Errorf("unknown keys %v", unknown)
	}
	if m.Version != 2 || m.Application.Name == "" || len(m.Trigger.HTTP) != 1 {
		return nil, fmt.Errorf("manifest %+v", m)
	}
	t := m.Trigger.HTTP[0]
	c, ok := m.Component[t.Component]
	if !ok || t.Route != "/" || t.Executor.Type != "wagi" {
		return nil, fmt.Errorf("manifest %+v", m)
	}
	return os.ReadFile(filepath.Join(filepath.Dir(path), c.Source))
}
