package action

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRedacted: what goes into the files passes the redactor, as what goes into the log does.
func TestRedacted(t *testing.T) {
	dir := t.TempDir()
	env := map[string]string{"GITHUB_OUTPUT": filepath.Join(dir, "output"), "GITHUB_STEP_SUMMARY": filepath.Join(dir, "summary")}
	for _, path := range env {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r := &Runner{Getenv: func(name string) string { return env[name] }, Redact: func(text string) string { return strings.ReplaceAll(text, "hush", "***") }}
	if err := errors.Join(r.Output("result", "say hush now"), r.Summary("say hush now")); err != nil {
		t.Fatal(err)
	}
	for name, path := range env {
		if b, err := os.ReadFile(path); err != nil || strings.Contains(string(b), "hush") || !strings.Contains(string(b), "say *** now") {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
}
