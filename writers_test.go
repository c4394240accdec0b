package main_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestWriters: nothing is printed past the redactor. Standard output and standard error are named in main.go, which hands
// them to it, and as the default of a Runner that is given none; nobody prints without naming a writer, logs with a default
// logger, or writes to file descriptors.
func TestWriters(t *testing.T) {
	t.Parallel()
	forbidden := map[string][]string{
		"os":       {"Stdout", "Stderr", "NewFile"},
		"fmt":      {"Print", "Printf", "Println"},
		"log":      {"Print", "Printf", "Println", "Fatal", "Fatalf", "Fatalln", "Panic", "Panicf", "Panicln", "Default", "Writer"},
		"slog":     {"Default", "Debug", "Info", "Warn", "Error", "Log"},
		"syscall":  {"Write"},
		"debug":    {"PrintStack", "SetCrashOutput"},
		"builtins": {"print", "println"},
	}
	excepted := []string{"main.go: os.Stdout", "main.go: os.Stderr", "internal/action/action.go: os.Stdout"}
	found := map[string]bool{}
	files := 0
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); name == "testdata" || name == "e2e" || name == "examples" || name == "rotatetest" || name == "contract" || strings.HasPrefix(name, ".") && name != "." {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		files++
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		imports := map[string]string{} // by the name in the file
		for _, i := range file.Imports {
			at := strings.Trim(i.Path.Value, `"`)
			name := at[strings.LastIndexByte(at, '/')+1:]
			if at == "log/slog" || at == "os" || at == "fmt" || at == "log" || at == "syscall" || at == "runtime/debug" {
				if i.Name != nil {
					imports[i.Name.Name] = name
				} else {
					imports[name] = name
				}
			}
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch x := n.(type) {
			case *ast.SelectorExpr:
				if p, ok := x.X.(*ast.Ident); ok && slices.Contains(forbidden[imports[p.Name]], x.Sel.Name) {
					found[filepath.ToSlash(path)+": "+imports[p.Name]+"."+x.Sel.Name] = true
				}
			case *ast.CallExpr:
				if f, ok := x.Fun.(*ast.Ident); ok && f.Obj == nil && slices.Contains(forbidden["builtins"], f.Name) {
					found[filepath.ToSlash(path)+": "+f.Name] = true
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for f := range found {
		if !slices.Contains(excepted, f) {
			t.Errorf("%s: what is printed has to pass the redactor", f)
		}
	}
	for _, e := range excepted {
		if !found[e] {
			t.Errorf("%s is not there any more, so the exception can go", e)
		}
	}
	if files < 50 {
		t.Errorf("only %d files were read", files)
	}
}
