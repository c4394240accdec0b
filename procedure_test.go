package main_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const procedurePage = "docs/fastly-exporter.md"

var (
	// shownBy is a test that a page names, and the file that has it.
	shownBy = regexp.MustCompile("\\[`([^`]+)`\\]\\(\\.\\./([^)]+(?:_test\\.go|\\.txtar))\\)")
	// ofProcedure is the name of a test of the manual procedure.
	ofProcedure = regexp.MustCompile(`^(step \d+|not proof|log line|hand-in|sibling|token rule): `)
)

// TestProcedurePage: every test that the page about the manual procedure names is there, every test that is named after the
// procedure is on the page, and no step is without one.
func TestProcedurePage(t *testing.T) {
	t.Parallel()
	pages, err := documents()
	if err != nil {
		t.Fatal(err)
	}
	has, err := texts(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, fault := range drift(pages[procedurePage], has) {
		t.Errorf("%s: %s", procedurePage, fault)
	}
}

// drift is in what a page and the tests, by file, differ.
func drift(page string, has map[string][]string) (faults []string) {
	shown := map[string]bool{}
	for _, m := range shownBy.FindAllStringSubmatch(page, -1) {
		name, file := m[1], m[2]
		shown[file+" "+name] = true
		if !slices.Contains(has[file], name) {
			faults = append(faults, fmt.Sprintf("%s has no test %q", file, name))
		}
	}
	for _, file := range slices.Sorted(maps.Keys(has)) {
		for _, name := range has[file] {
			if ofProcedure.MatchString(name) && !shown[file+" "+name] {
				faults = append(faults, fmt.Sprintf("%q of %s is not on the page", name, file))
			}
		}
	}
	for n := 1; n <= 15; n++ {
		if step := fmt.Sprintf(" step %d: ", n); !slices.ContainsFunc(slices.Collect(maps.Keys(shown)), func(s string) bool { return strings.Contains(s, step) }) {
			faults = append(faults, fmt.Sprintf("step %d has no test", n))
		}
	}
	return faults
}

// texts are the string literals of each test file, and of each script its name.
func texts(root string) (map[string][]string, error) {
	has := map[string][]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		at := filepath.ToSlash(path)
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() != root && strings.HasPrefix(d.Name(), "."):
			return fs.SkipDir
		case strings.HasSuffix(at, ".txtar"):
			has[at] = []string{strings.TrimSuffix(d.Name(), ".txtar")}
		case strings.HasSuffix(at, "_test.go"):
			f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			ast.Inspect(f, func(n ast.Node) bool {
				if l, ok := n.(*ast.BasicLit); ok && l.Kind == token.STRING {
					if text, err := strconv.Unquote(l.Value); err == nil {
						has[at] = append(has[at], text)
					}
				}
				return true
			})
		}
		return nil
	})
	return has, err
}

// TestDrift: a page that says too much or too little is found.
func TestDrift(t *testing.T) {
	var page strings.Builder
	has := map[string][]string{}
	for n := 1; n <= 15; n++ {
		name := fmt.Sprintf("step %d: fails", n)
		has["a_test.go"] = append(has["a_test.go"], name)
		fmt.Fprintf(&page, "| %d | [`%s`](../a_test.go) |\n", n, name)
	}
	good := page.String()
	const seventh = "step 7" // apart from the rest, or the page would have to name it
	for _, c := range []struct{ page, more, want string }{
		{good, "", ""},
		{good, "another test", ""},
		{good, seventh + ": also fails", `"step 7: also fails" of a_test.go is not on the page`},
		{strings.Replace(good, seventh+": fails", seventh+": failed", 1), "", `a_test.go has no test "step 7: failed"`},
		{strings.Replace(good, "a_test.go", "b_test.go", 1), "", `b_test.go has no test "step 1: fails"`},
		{"", "", "step 15 has no test"},
	} {
		has := map[string][]string{"a_test.go": append(slices.Clone(has["a_test.go"]), c.more)}
		got := strings.Join(drift(c.page, has), "\n")
		if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("found %q, want %q", got, c.want)
		}
	}
}
