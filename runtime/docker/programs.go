package docker

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/seed-0132abb7/wasmbench/internal/cache"
	"github.com/seed-0132abb7/wasmbench/runtime/oci"
)

// programs are what a private daemon is made of.
type programs struct {
	dockerd, containerd string
	libraries           string // a directory, or "" if the system has them
}

// findPrograms looks for the programs of a private daemon, which dockerd, if not
// "", is part of.
func findPrograms(dockerd string) (programs, error) {
	if err := oci.CheckHost("docker", ""); err != nil {
		return programs{}, err
	}
	var p programs
	var err error
	if p.dockerd, err = exec.LookPath(dockerdOr(dockerd)); err != nil && dockerd == "" {
		p.dockerd, p.libraries, err = installed()
	}
	if err != nil {
		return programs{}, unavailable("neither a daemon runs nor is there a dockerd", "run scripts/docker.sh or `make bench`, start Docker, or name its address in DOCKER_HOST", err)
	}
	if p.dockerd, err = filepath.Abs(p.dockerd); err != nil { // it is run elsewhere
		return programs{}, err
	}
	if p.containerd, err = exec.LookPath(filepath.Join(filepath.Dir(p.dockerd), "containerd")); err != nil {
		p.containerd, err = exec.LookPath("containerd")
	}
	if err != nil {
		return programs{}, unavailable("there is no containerd for "+p.dockerd, "install containerd", err)
	}
	p.containerd, err = filepath.Abs(p.containerd)
	return p, err
}

func dockerdOr(path string) string {
	if path == "" {
		return "dockerd"
	}
	return path
}

// installed returns the latest of what scripts/docker.sh has put into the cache.
func installed() (dockerd, libraries string, err error) {
	dir, err := cache.Dir()
	if err != nil {
		return "", "", err
	}
	pattern := filepath.Join(dir, "docker", "*", "bin", "dockerd")
	found, err := filepath.Glob(pattern)
	if err != nil {
		return "", "", err
	}
	if len(found) == 0 {
		return "", "", &os.PathError{Op: "find", Path: pattern, Err: os.ErrNotExist}
	}
	dockerd = slices.MaxFunc(found, func(a, b string) int { return changed(a).Compare(changed(b)) })
	return dockerd, filepath.Join(filepath.Dir(dockerd), "..", "lib"), nil
}

// changed returns when the directory of a version became what it is.
func changed(dockerd string) (t time.Time) {
	if info, err := os.Stat(filepath.Dir(filepath.Dir(dockerd))); err == nil {
		t = info.ModTime()
	}
	return t
}

// environment returns what a private daemon is given: this process's
// environment without what would make the daemon read or tell more than it is
// meant to, and with mark.
func (p programs) environment(mark string) []string {
	env := slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "DOCKER_") || strings.HasPrefix(v, "NOTIFY_SOCKET=") || strings.HasPrefix(v, "CONTAINERD_")
	})
	path := strings.Join([]string{filepath.Dir(p.dockerd), filepath.Dir(p.containerd), os.Getenv("PATH"), "/usr/sbin", "/sbin"}, ":")
	// Where "container" is set dockerd believes that AppArmor is not its own to
	// use: else it would load a profile into the kernel, which would stay.
	env = append(env, mark, "PATH="+path, "container=wasmbench")
	if p.libraries != "" {
		env = append(env, "LD_LIBRARY_PATH="+strings.TrimSuffix(p.libraries+":"+os.Getenv("LD_LIBRARY_PATH"), ":"))
	}
	return env
}
