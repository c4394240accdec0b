package main_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// What a release may weigh. Most of it is the Fly.io and AWS clients; what would be added by accident is text/template,
// whose use makes the linker keep every exported method of every type.
const (
	mostBytes  = 31_000_000 // of the stripped static binary for linux/amd64
	mostZipped = 12_000_000 // of gzip -9
	mostMemory = 48 << 10   // KiB at the peak of a rehearsal
)

// stripped are the linker's flags of a release.
const stripped = "-s -w"

// release builds the program as a release does, with these flags of the linker. With those of a release it is what the other
// tests run, where that is the same.
func release(t *testing.T, ldflags string) string {
	t.Helper()
	if ldflags == stripped && runtime.GOOS == "linux" && runtime.GOARCH == "amd64" {
		return build(t)
	}
	path := filepath.Join(t.TempDir(), "remint")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", ldflags, "-o", path, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

func TestSize(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("builds a release")
	}
	b, err := os.ReadFile(release(t, stripped))
	if err != nil {
		t.Fatal(err)
	}
	var zipped bytes.Buffer
	z, err := gzip.NewWriterLevel(&zipped, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := z.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes, %d bytes zipped", len(b), zipped.Len())
	if len(b) > mostBytes {
		t.Errorf("%d bytes; %d are allowed", len(b), mostBytes)
	}
	if zipped.Len() > mostZipped {
		t.Errorf("%d bytes zipped; %d are allowed", zipped.Len(), mostZipped)
	}
}

// TestTemplate: text/template calls methods by name, so that the linker can drop none. html/template uses it.
func TestTemplate(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("builds a release with symbols")
	}
	out, err := exec.Command("go", "tool", "nm", release(t, "-w")).Output() // symbols, and nothing for debuggers
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(out, []byte(" T main.main\n")) {
		t.Fatal("the binary has no symbols")
	}
	for line := range strings.Lines(string(out)) {
		if strings.HasSuffix(line, " T text/template.(*Template).execute\n") {
			t.Errorf("reachable: %s", line)
		}
	}
}

// TestMemory: the peak of a whole rotation, emulated services included.
func TestMemory(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux counts in KiB")
	}
	peak := filepath.Join(t.TempDir(), "peak")
	if out, err := exec.Command("go", "build", "-o", peak, "./testdata/peak").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cmd := exec.Command(peak, build(t), "rehearse", "-c", "examples/fly-forgejo.yaml")
	cmd.Env = []string{"HOME=" + t.TempDir(), "TMPDIR=" + t.TempDir()}
	var out, kib bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &kib
	began := time.Now()
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s%s", err, &out, &kib)
	}
	n, err := strconv.Atoi(strings.TrimSpace(kib.String()))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d KiB at the peak, %s", n, time.Since(began).Round(time.Millisecond))
	if n > mostMemory {
		t.Errorf("%d KiB at the peak; %d are allowed", n, mostMemory)
	}
}

// TestLaunch prints how long the program takes to start. It asserts nothing: the machine may be busy.
func TestLaunch(t *testing.T) {
	path := build(t)
	took := make([]time.Duration, 11)
	for i := range took {
		began := time.Now()
		if out, err := exec.Command(path, "version").CombinedOutput(); err != nil || !strings.HasPrefix(string(out), "remint ") {
			t.Fatalf("%v\n%s", err, out)
		}
		took[i] = time.Since(began)
	}
	slices.Sort(took)
	t.Logf("remint version: median %s of %d launches", took[len(took)/2].Round(10*time.Microsecond), len(took))
}

// BenchmarkVersion is TestLaunch for measuring.
func BenchmarkVersion(b *testing.B) {
	path, err := binary()
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if out, err := exec.Command(path, "version").CombinedOutput(); err != nil {
			b.Fatal(fmt.Errorf("%w: %s", err, out))
		}
	}
}
