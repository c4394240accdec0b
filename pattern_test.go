package main_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestPatterns compiles every text that the program gives to pattern.New, which itself compiles it only when it is used.
func TestPatterns(t *testing.T) {
	t.Parallel()
	var text func(ast.Expr) (string, bool)
	text = func(e ast.Expr) (string, bool) {
		switch x := e.(type) {
		case *ast.BasicLit:
			s, err := strconv.Unquote(x.Value)
			return s, err == nil
		case *ast.BinaryExpr:
			a, ok := text(x.X)
			b, also := text(x.Y)
			return a + b, ok && also && x.Op == token.ADD
		}
		return "", false
	}
	compiled := 0
	for _, dir := range []string{"internal", "pkg"} {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			set := token.NewFileSet()
			file, err := parser.ParseFile(set, path, nil, 0)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok || len(call.Args) != 1 {
					return true
				}
				switch f := call.Fun.(type) {
				case *ast.SelectorExpr:
					from, ok := f.X.(*ast.Ident)
					ok = ok && from.Name == "pattern" && f.Sel.Name == "New"
					if !ok {
						return true
					}
				case *ast.Ident:
					if f.Name != "New" || file.Name.Name != "pattern" {
						return true
					}
				default:
					return true
				}
				s, ok := text(call.Args[0])
				if !ok {
					t.Errorf("%s: the text of a pattern is no literal", set.Position(call.Pos()))
				} else if _, err := regexp.Compile(s); err != nil {
					t.Errorf("%s: %v", set.Position(call.Pos()), err)
				}
				compiled++
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if compiled < 50 {
		t.Errorf("found %d patterns; did the walk miss them?", compiled)
	}
}
