package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/remint-dev/remint/internal/pattern"
)

// This file turns bytes that may come from anybody into a tree that is safe to walk. Its rules:
//
//   - What is too large is refused before it is parsed.
//   - The tree that comes out has no alias, is at most maxDepth deep and at most maxNodes large with every
//     alias counted in full, so a small text cannot expand into a large one.
//   - One document, UTF-8, no key twice, no merge keys, no tags: what two readers of YAML might take differently is refused.
const (
	maxSize  = 256 << 10 // bytes; a hundred rotations take a tenth of it
	maxNodes = 25_000
	maxDepth = 64
)

// parse returns the root of the document, or nil if it is so broken that nothing more can be said.
func (l *loader) parse(text []byte) *yaml.Node {
	if len(text) > maxSize {
		l.wrong.add(1, 1, "", fmt.Sprintf("a configuration of %d bytes is refused; the limit is %d", len(text), maxSize))
		return nil
	}
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	if line, column, what := unreadable(text); what != "" {
		l.wrong.add(line, column, "", what)
		return nil
	}
	d := yaml.NewDecoder(bytes.NewReader(text))
	doc, err := next(d)
	if errors.Is(err, io.EOF) || err == nil && len(doc.Content) == 0 {
		l.wrong.add(1, 1, "", "the configuration is empty; it needs at least `rotations:`")
		return nil
	}
	if err != nil {
		line, column, message := syntax(err, text)
		l.wrong.add(line, column, "", message)
		return nil
	}
	if more, err := next(d); !errors.Is(err, io.EOF) {
		line, column := 1, 1
		if err == nil {
			line, column = more.Line, more.Column
		} else {
			line, column, _ = syntax(err, text)
		}
		l.wrong.add(line, column, "", "a second document begins; a configuration is one document, so put all of it under one `rotations:`")
		return nil
	}
	root := doc.Content[0]
	t := tree{loader: l, size: map[*yaml.Node]int{}}
	if t.measure(root, 1); t.broken {
		return nil
	}
	return root
}

// next parses one document. The YAML package reports some errors by panicking.
func next(d *yaml.Decoder) (doc *yaml.Node, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = errors.New("yaml: the text cannot be parsed")
		}
	}()
	doc = new(yaml.Node)
	err = d.Decode(doc)
	return doc, err
}

// unreadable finds the first byte that is no text.
func unreadable(text []byte) (line, column int, what string) {
	line, column = 1, 1
	if bytes.HasPrefix(text, []byte("\xff\xfe")) || bytes.HasPrefix(text, []byte("\xfe\xff")) {
		return 1, 1, "the text is UTF-16; save it as UTF-8"
	}
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRune(text[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			return line, column, "the text is not UTF-8"
		case r == '\n':
			line, column = line+1, 0
		case r < 0x20 && r != '\t' && r != '\r', r == 0x7f:
			return line, column, fmt.Sprintf("control character U+%04X; remove it", r)
		}
		column++
		i += n
	}
	return 0, 0, ""
}

var (
	yamlError   = pattern.New(`^yaml: (?:line (\d+): )?(.*)$`)
	parserError = pattern.New(`^did not find expected (',' or|key|'-' indicator|node content|<)`)
)

// syntax finds the place of an error of the YAML package, which tells at most a line, and for errors of its
// parser (not its scanner) the line before.
func syntax(err error, text []byte) (line, column int, message string) {
	line, message = 1, "the text cannot be parsed"
	if m := yamlError.FindStringSubmatch(err.Error()); m != nil {
		message = m[2]
		if n, err := strconv.Atoi(m[1]); err == nil {
			line = n
			if parserError.MatchString(message) {
				line++
			}
		}
	}
	lines := strings.Split(string(text), "\n")
	line = min(max(line, 1), len(lines))
	at := lines[line-1]
	indent := at[:len(at)-len(strings.TrimLeft(at, " \t"))]
	column = len(indent) + 1
	switch tab := strings.IndexByte(indent, '\t'); {
	case tab >= 0:
		return line, tab + 1, "a tab cannot indent YAML; use spaces"
	case strings.Contains(message, "mapping values are not allowed"):
		message = "a second `: ` in one line; put the value into quotation marks, or mind the indentation"
	case strings.Contains(message, "cannot start any token"):
		message = "a value cannot begin with @, ` or %; put it into quotation marks"
	case strings.Contains(message, "unknown anchor"), strings.Contains(message, "expected alphabetic or numeric character"):
		message = "an alias (*) to an anchor (&) that is not there; put the value into quotation marks if it begins with *"
	}
	if len(message) > 120 { // it may repeat a piece of the text
		message = strings.ToValidUTF8(message[:120], "") + "…"
	}
	return line, column, "not YAML: " + message
}

// tree checks nodes and replaces aliases by what they stand for.
type tree struct {
	*loader
	size   map[*yaml.Node]int // of the nodes measured; 0: being measured
	broken bool               // too deep, too large or a cycle: not to be walked
}

// measure returns the size of a node with every alias counted in full. An anchor stands before its
// aliases, so what an alias stands for has been measured, or contains the alias.
func (t *tree) measure(n *yaml.Node, depth int) int {
	if depth > maxDepth {
		return t.stop(n, fmt.Sprintf("nested more than %d deep", maxDepth))
	}
	if n.Style&yaml.TaggedStyle != 0 {
		t.wrong.add(n.Line, n.Column, "", "tags (!) have no meaning here; remove it")
	}
	t.size[n] = 0
	sum := 1
	for i, c := range n.Content {
		var size int
		if c.Kind == yaml.AliasNode {
			if size = t.size[c.Alias]; size == 0 {
				return t.stop(c, "an alias stands for something that contains it")
			}
			n.Content[i] = c.Alias
		} else {
			size = t.measure(c, depth+1)
		}
		if t.broken {
			return 0
		}
		if sum += size; sum > maxNodes {
			return t.stop(c, fmt.Sprintf("up to here the configuration expands to more than %d values; a small text with many aliases must not fill the memory", maxNodes))
		}
	}
	if n.Kind == yaml.MappingNode {
		t.keys(n)
	}
	t.size[n] = sum
	return sum
}

func (t *tree) stop(n *yaml.Node, message string) int {
	t.wrong.add(n.Line, n.Column, "", message)
	t.broken = true
	return 0
}

// keys checks the keys of a mapping.
func (t *tree) keys(m *yaml.Node) {
	first := make(map[string]*yaml.Node, len(m.Content)/2)
	for i := 0; i+1 < len(m.Content); i += 2 {
		k := m.Content[i]
		switch {
		case k.Kind != yaml.ScalarNode:
			t.wrong.add(k.Line, k.Column, "", "a key must be text; put it into quotation marks if it begins with { or [")
		case k.Tag == "!!merge":
			t.wrong.add(k.Line, k.Column, "", "merge keys (<<) are not supported; say what several rotations share under `defaults:`")
		case first[k.Value] != nil:
			t.wrong.add(k.Line, k.Column, "", fmt.Sprintf("the key %s is given twice, first in line %d", bare(k.Value), first[k.Value].Line))
		default:
			first[k.Value] = k
		}
	}
}
