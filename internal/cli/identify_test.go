package cli

import (
	"bytes"
	"context"
	"io"
	"os"
	"strings"
	"testing"
)

// TestReadSecret: what is no secret is refused before any configuration is read, and nothing of it is repeated.
func TestReadSecret(t *testing.T) {
	null, err := os.Open(os.DevNull) // like a terminal, a device of characters
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = null.Close() }()
	for name, c := range map[string]struct {
		in   io.Reader
		want string
	}{
		"none":       {nil, "there is no standard input"},
		"a terminal": {null, "standard input is a terminal"},
		"empty":      {strings.NewReader(" \n"), "is empty"},
		"short":      {strings.NewReader("abc1234"), "less than 8 characters"},
		"large":      {strings.NewReader(strings.Repeat("secretly", 10_000)), "more than 64 KiB"},
		"a secret":   {strings.NewReader("fo1_secretly_long\n"), "configuration error"},
	} {
		t.Run(name, func(t *testing.T) {
			var out, errs bytes.Buffer
			t.Chdir(t.TempDir())
			code := Main(context.Background(), Process{Args: []string{"identify"}, Getenv: func(string) string { return "" }, Stdin: c.in, Stdout: &out, Stderr: &errs})
			if code != Misused || !strings.Contains(errs.String(), c.want) || out.Len() > 0 {
				t.Errorf("exit code %d, %q", code, errs.String())
			}
			if strings.Contains(errs.String(), "abc1234") || strings.Contains(errs.String(), "secretly") {
				t.Errorf("repeated: %q", errs.String())
			}
		})
	}
}

// TestSecretIsHidden: whatever an error says, the secret on standard input is known to the redactor before anything else.
func TestSecretIsHidden(t *testing.T) {
	var out, errs bytes.Buffer
	const secret = "fo1_a_secret_that_names_a_file"
	code := Main(context.Background(), Process{Args: []string{"identify", "-c", secret}, Getenv: func(string) string { return "" }, Stdin: strings.NewReader(secret), Stdout: &out, Stderr: &errs})
	if code != Misused || !strings.Contains(errs.String(), "there is no file") || strings.Contains(errs.String(), secret) {
		t.Errorf("exit code %d, %q", code, errs.String())
	}
}
