package measure_test

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/seed-0132abb7/wasmbench/measure"
	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// planter is a program that takes its second argument in bytes of memory of the
// kind that the first one names, says so and waits.
const planter = `#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

static void *map(size_t size, int prot, int flags, int file)
{
	void *p = mmap(NULL, size, prot, flags, file, 0);
	if (p == MAP_FAILED)
		exit(1);
	return p;
}

static pthread_barrier_t used;

static void *deep(void *size)
{
	volatile char b[*(size_t *)size];
	for (size_t i = sizeof b; i > 0; i -= 4096)
		b[i - 1] = 1;
	pthread_barrier_wait(&used);
	pause();
	return NULL;
}

static void shallow(size_t size)
{
	volatile char b[size];
	for (size_t i = size; i > 0; i -= 4096)
		b[i - 1] = 1;
}

int main(int argc, char **argv)
{
	const char *kind = argv[1];
	size_t size = strtoul(argv[2], NULL, 10);
	int any = MAP_PRIVATE | MAP_ANONYMOUS, rw = PROT_READ | PROT_WRITE, pipes[2];
	char c;
	if (!strcmp(kind, "heap"))
		for (size_t i = 0; i < size; i += 8192)
			memset(malloc(8192 - 16), 1, 8192 - 16);
	else if (!strcmp(kind, "anon"))
		memset(map(size, rw, any, -1), 1, size);
	else if (!strcmp(kind, "jit"))
		memset(map(size, rw | PROT_EXEC, any, -1), 1, size);
	else if (!strcmp(kind, "memfd")) {
		int file = memfd_create("planted", 0);
		if (ftruncate(file, size))
			exit(1);
		memset(map(size, rw, MAP_SHARED, file), 1, size);
	} else if (!strcmp(kind, "file")) {
		volatile char *p = map(size, PROT_READ, MAP_SHARED, open(argv[3], O_RDONLY));
		for (size_t i = 0; i < size; i += 4096)
			(void)p[i];
	} else if (!strcmp(kind, "stack")) {
		struct rlimit any = {RLIM_INFINITY, RLIM_INFINITY};
		if (setrlimit(RLIMIT_STACK, &any))
			exit(1);
		shallow(size);
	} else if (!strcmp(kind, "thread")) {
		pthread_attr_t attr;
		pthread_t thread;
		pthread_barrier_init(&used, NULL, 2);
		pthread_attr_init(&attr);
		if (pthread_attr_setstacksize(&attr, size + (1 << 20)) || pthread_create(&thread, &attr, deep, &size))
			exit(1);
		pthread_barrier_wait(&used);
	} else if (!strcmp(kind, "child")) {
		if (pipe(pipes))
			exit(1);
		int pid = fork();
		if (pid == 0) {
			memset(map(size, rw, any, -1), 1, size);
			if (write(pipes[1], "x", 1) != 1)
				exit(1);
			exit(read(0, &c, 1) != 0);
		}
		if (read(pipes[0], &c, 1) != 1)
			exit(1);
		printf("%d\n", pid);
	}
	puts("planted");
	fflush(stdout);
	return read(0, &c, 1) != 0;
}
`

// startPlanter starts a command, which ends with its input or with the test, and
// returns the lines up to one that says planted.
func startPlanter(t *testing.T, program string, args ...string) (pid int, said []string) {
	t.Helper()
	cmd := exec.Command(program, args...)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	})
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		if lines.Text() == "planted" {
			return cmd.Process.Pid, said
		}
		said = append(said, lines.Text())
	}
	t.Fatalf("%s said %q and ended", program, said)
	return 0, nil
}

// plantedBytes is much more than what a small process has by itself.
const plantedBytes = 32 << 20

// Memory that is planted in a guest or an engine shows where it belongs and nowhere else.
func TestProfileFindsPlantedMemory(t *testing.T) {
	cc, _, err := workload.CompilerC(t.Context())
	orSkip(t, err)
	dir := t.TempDir()
	source, program, file := filepath.Join(dir, "planter.c"), filepath.Join(dir, "planter"), filepath.Join(dir, "file")
	if err := errors.Join(os.WriteFile(source, []byte(planter), 0o644), os.WriteFile(file, make([]byte, plantedBytes), 0o644)); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), cc, "-O0", "-pthread", "-o", program, source).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	size := strconv.Itoa(plantedBytes)
	for kind, where := range map[string]struct{ guest, engine string }{
		"nothing": {}, "heap": {"app-heap", "engine"}, "anon": {"app-anon", "engine"}, "jit": {"app-jit", "code"},
		"memfd": {"app-anon", "engine"}, "file": {"libs", "engine"}, "child": {"app-anon", "engine"},
		"stack": {"app-anon", "stack"}, "thread": {"app-anon", "stack"},
	} {
		t.Run(kind, func(t *testing.T) {
			pid, said := startPlanter(t, program, kind, size, file)
			scope := runtime.Scope{Own: []int{pid}}
			for _, line := range said {
				child, err := strconv.Atoi(line)
				if err != nil {
					t.Fatal(err)
				}
				scope.Own = append(scope.Own, child)
			}
			only := func(parts map[string]int64, where string) {
				for name, bytes := range parts {
					want := int64(0)
					if name == where {
						want = plantedBytes
					}
					if bytes < want || bytes > want+2<<20 {
						t.Errorf("%s has %d bytes, want %d", name, bytes, want)
					}
				}
			}
			only(profile(t, scope, measure.ProfileOptions{}, compiled...), where.guest)
			only(profile(t, scope, measure.ProfileOptions{Engine: true}, unmapped...), where.engine)
		})
	}
}
