package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// variables are what ${name} stands for: one entry of a matrix.
//
//   - $${ is a literal ${.
//   - ${token.…} is left alone: it stands for something of the newborn token, and the adapter fills it in.
//   - ${{ belongs to the workflow and must be gone by now.
type variables struct {
	values map[string]string
	used   map[string]bool // shared by the entries of a matrix
	entry  int             // of the matrix, from 1; 0: there is none
	known  []string        // names that any entry of the matrix sets
	left   *int            // bytes that values may still take in texts, so that a small text cannot grow large
}

// expand replaces the variables in a text.
func (v *variables) expand(text string) (string, error) {
	if !strings.Contains(text, "${") {
		return text, nil
	}
	var b strings.Builder
	for {
		i := strings.Index(text, "${")
		if i < 0 {
			b.WriteString(text)
			return b.String(), nil
		}
		if i > 0 && text[i-1] == '$' {
			b.WriteString(text[:i-1] + "${")
			text = text[i+2:]
			continue
		}
		b.WriteString(text[:i])
		rest := text[i+2:]
		if strings.HasPrefix(rest, "{") {
			return "", errors.New("${{ }} is the workflow's, which replaces it before remint sees an inline configuration; in a file write ${name} with a matrix, or {env: NAME} for a credential")
		}
		end := strings.IndexByte(rest, '}')
		if end < 0 {
			return "", errors.New("${ without }; write $${ for a literal ${")
		}
		name := rest[:end]
		text = rest[end+1:]
		if strings.HasPrefix(name, "token.") {
			b.WriteString("${" + name + "}")
			continue
		}
		value, ok := v.values[name]
		if !ok {
			return "", v.missing(name)
		}
		if *v.left -= len(value) + len(text); *v.left < 0 {
			return "", errors.New("the variables of the matrices make the texts too large")
		}
		v.used[name] = true
		b.WriteString(value)
	}
}

func (v *variables) missing(name string) error {
	name = bare(name)
	switch {
	case v.entry == 0:
		return fmt.Errorf("unknown variable ${%s}: it would come from a `matrix`, and there is none; write $${ for a literal ${", name)
	case slices.Contains(v.known, name):
		return fmt.Errorf("unknown variable ${%s}: entry %d of the matrix does not set it", name, v.entry)
	default:
		return fmt.Errorf("unknown variable ${%s}%s", name, meant(name, v.known))
	}
}

// isName reports whether a matrix may set a variable of this name.
func isName(s string) bool {
	for i, r := range s {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == '_'
		if !letter && (i == 0 || (r < '0' || r > '9') && r != '-') {
			return false
		}
	}
	return s != ""
}
