package main

import (
	"os"
	"strings"
	"testing"
)

func Example() {
	main()
	// Output:
	// web: rotated, 0 revoked
	// web: nothing to do, 0 revoked
}

// TestShort: it is what a reader of the package begins with.
func TestShort(t *testing.T) {
	text, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(text), "\n"); n >= 60 {
		t.Errorf("main.go has %d lines", n)
	}
}
