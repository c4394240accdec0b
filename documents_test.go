package main_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"go.yaml.in/yaml/v3"

	"github.com/remint-dev/remint/pkg/config"
	"github.com/remint-dev/remint/pkg/rotate"
)

var update = flag.Bool("update", false, "write the generated documents anew")

const actionPage = "docs/reference/action.md"

// TestActionPage: the page about the action is what action.yml says.
func TestActionPage(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("action.yml")
	if err != nil {
		t.Fatal(err)
	}
	want, err := describeAction(text)
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(actionPage, want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(actionPage)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s is not what action.yml says: go test . -run TestActionPage -update (%v)", actionPage, err)
	}
}

// parameter is an input or an output of an action.
type parameter struct {
	Description string
	Required    bool
	Default     string
}

// parameters keeps the order of the file.
type parameters []struct {
	name string
	parameter
}

// UnmarshalYAML implements [yaml.Unmarshaler].
func (ps *parameters) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind != yaml.MappingNode {
		return errors.New("want a mapping")
	}
	for i := 0; i < len(n.Content); i += 2 {
		var p parameter
		if err := n.Content[i+1].Decode(&p); err != nil {
			return err
		}
		if p.Description == "" {
			return fmt.Errorf("%s has no description", n.Content[i].Value)
		}
		*ps = append(*ps, struct {
			name string
			parameter
		}{n.Content[i].Value, p})
	}
	return nil
}

func describeAction(text []byte) ([]byte, error) {
	var a struct {
		Description     string
		Inputs, Outputs parameters
	}
	if err := yaml.Unmarshal(text, &a); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	b.WriteString("<!-- Generated from action.yml: go test . -run TestActionPage -update -->\n\n# The action\n\n" + a.Description + "\n\n")
	b.WriteString("The same for GitHub, Forgejo and Gitea Actions. It runs in a container, on Linux runners.\n\n## Inputs\n\n")
	b.WriteString("| input | required | default | what |\n| --- | --- | --- | --- |\n")
	cell := func(text string) string {
		return strings.NewReplacer("|", `\|`, "\n", " ", "<", "&lt;").Replace(strings.TrimSpace(text))
	}
	for _, p := range a.Inputs {
		required, standard := "no", ""
		if p.Required {
			required = "yes"
		}
		if p.Default != "" {
			standard = "`" + cell(p.Default) + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", p.name, required, standard, cell(p.Description))
	}
	b.WriteString("\nOther credentials are no inputs. They come from the environment of the step, under the names that the pages of the adapters give;\nsee [configuration](configuration.md#adapters).\n")
	b.WriteString("\n## Outputs\n\nThey are written also when the step fails.\n\n| output | what |\n| --- | --- |\n")
	for _, p := range a.Outputs {
		fmt.Fprintf(&b, "| `%s` | %s |\n", p.name, cell(p.Description))
	}
	return b.Bytes(), nil
}

// TestDocuments: the documents are there, their links lead somewhere, and what they show works.
func TestDocuments(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"README.md", "DESIGN.md", "CONTRIBUTING.md", "SECURITY.md", "LICENSE"} {
		if _, err := os.Stat(name); err != nil {
			t.Error(err)
		}
	}
	pages, err := documents()
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range pages {
		for _, l := range links(text) {
			if err := follow(pages, name, l.to); err != nil {
				t.Errorf("%s:%d: %s: %v", name, l.line, l.to, err)
			}
		}
	}
	workflows, configurations := 0, 0
	for _, b := range blocks(pages["README.md"], "yaml") {
		lines := strings.Count(b.text, "\n")
		switch {
		case strings.Contains(b.text, "jobs:"):
			if workflows++; lines > 25 {
				t.Errorf("README.md:%d: a workflow of %d lines; 25 are allowed", b.line, lines)
			}
			if err := yaml.Unmarshal([]byte(b.text), new(any)); err != nil {
				t.Errorf("README.md:%d: %v", b.line, err)
			}
		case strings.Contains(b.text, "rotations:"):
			if configurations++; configurations == 1 && lines > 12 {
				t.Errorf("README.md:%d: a configuration of %d lines; 12 are allowed", b.line, lines)
			}
			if _, err := config.Load([]byte(b.text), config.Options{Path: fmt.Sprintf("README.md:%d", b.line), Getenv: invented, Invent: invent}); err != nil {
				t.Errorf("README.md:%d: %v", b.line, err)
			}
		}
	}
	if workflows == 0 || configurations == 0 {
		t.Errorf("README.md shows %d workflows and %d configurations", workflows, configurations)
	}
}

func invented(name string) string {
	return map[string]string{"GITHUB_REPOSITORY": "example/web", "GITHUB_SERVER_URL": "https://github.com", "GITHUB_API_URL": "https://api.github.com", "AWS_REGION": "eu-west-1"}[name]
}

func invent(adapter, key string) rotate.Secret {
	return rotate.NewSecret("made_up_for_" + adapter + "_" + key)
}

// documents returns every page of the repository, those of test data left out.
func documents() (map[string]string, error) {
	pages := map[string]string{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "testdata" || d.Name() == "node_modules" || len(d.Name()) > 1 && d.Name()[0] == '.' && d.Name() != ".github"):
			return fs.SkipDir
		case d.IsDir() || filepath.Ext(path) != ".md":
			return nil
		}
		text, err := os.ReadFile(path)
		pages[filepath.ToSlash(path)] = string(text)
		return err
	})
	return pages, err
}

type link struct {
	to   string
	line int
}

var (
	inlineLink    = regexp.MustCompile(`\]\(<?([^()<>\s]+)>?(?: "[^"]*")?\)`)
	referenceLink = regexp.MustCompile(`^\[[^\]]+\]: +<?([^<>\s]+)>?`)
	codeSpan      = regexp.MustCompile("`[^`]*`")
	fence         = regexp.MustCompile("^ *(```+|~~~+) *([A-Za-z]*)")
)

// links returns where a page leads to, code left out.
func links(page string) []link {
	var all []link
	for n, line := range prose(page) {
		line = codeSpan.ReplaceAllString(line, "")
		for _, re := range []*regexp.Regexp{inlineLink, referenceLink} {
			for _, m := range re.FindAllStringSubmatch(line, -1) {
				all = append(all, link{m[1], n + 1})
			}
		}
	}
	return all
}

// prose returns the lines of a page, those of fenced blocks empty.
func prose(page string) []string {
	lines := strings.Split(page, "\n")
	open := ""
	for i, line := range lines {
		m := fence.FindStringSubmatch(line)
		switch {
		case open != "" && m != nil && strings.HasPrefix(m[1], open):
			open, lines[i] = "", ""
		case open != "":
			lines[i] = ""
		case m != nil:
			open, lines[i] = m[1], ""
		}
	}
	return lines
}

type block struct {
	text string
	line int
}

// blocks returns the fenced blocks of a language.
func blocks(page, language string) []block {
	var all []block
	var b *block
	for i, line := range strings.Split(page, "\n") {
		m := fence.FindStringSubmatch(line)
		switch {
		case m != nil && b == nil:
			b = &block{line: i + 2}
			if m[2] != language {
				b.line = 0
			}
		case m != nil:
			if b.line > 0 {
				all = append(all, *b)
			}
			b = nil
		case b != nil:
			b.text += line + "\n"
		}
	}
	return all
}

// home is where the repository is shown.
const home = "https://github.com/remint-dev/remint"

// follow says why a link leads nowhere. Links to other sites are not looked at.
func follow(pages map[string]string, from, to string) error {
	if rest, ok := strings.CutPrefix(to, home); ok && (rest == "" || rest[0] == '#') {
		from, to = "README.md", rest
	}
	u, err := url.Parse(to)
	switch {
	case err != nil:
		return err
	case u.Scheme != "" || u.Host != "":
		return nil
	case strings.HasPrefix(u.Path, "/"):
		return errors.New("absolute, so it works on no host that shows the page")
	}
	at := from
	if u.Path != "" {
		at = filepath.ToSlash(filepath.Join(filepath.Dir(from), u.Path))
		if _, err := os.Stat(at); err != nil {
			return errors.New("there is no such file")
		}
	}
	if u.Fragment == "" {
		return nil
	}
	if _, ok := pages[at]; !ok {
		return nil // lines of code and the like
	}
	for _, a := range anchors(pages[at]) {
		if a == u.Fragment {
			return nil
		}
	}
	return fmt.Errorf("%s has no such heading", at)
}

var heading = regexp.MustCompile(`^#{1,6} +(.*?) *#*$`)

// anchors returns the anchors that GitHub, Forgejo and Gitea make of a page's headings.
func anchors(page string) []string {
	var all []string
	seen := map[string]int{}
	for _, line := range prose(page) {
		m := heading.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		text := regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`).ReplaceAllString(m[1], "$1")
		a := strings.Map(func(c rune) rune {
			switch {
			case c == ' ':
				return '-'
			case unicode.IsLetter(c), unicode.IsDigit(c), c == '-', c == '_':
				return unicode.ToLower(c)
			}
			return -1
		}, text)
		if n := seen[a]; n > 0 {
			all = append(all, fmt.Sprintf("%s-%d", a, n))
		} else {
			all = append(all, a)
		}
		seen[a]++
	}
	return all
}

// TestLinks: the test of links finds what it is for.
func TestLinks(t *testing.T) {
	pages := map[string]string{
		"README.md":                       "# Use it\n## Exit codes\n## Exit codes\n### `plan`, [check](x.md)\n```\n# no heading\n```\n",
		"docs/reference/configuration.md": "",
	}
	for _, c := range []struct {
		from, to string
		good     bool
	}{
		{"README.md", "#use-it", true}, {"README.md", "#exit-codes-1", true}, {"README.md", "#plan-check", true}, {"README.md", "#no-heading", false},
		{"README.md", "docs/reference/configuration.md", true}, {"README.md", "docs/none.md", false}, {"README.md", "/docs", false},
		{"docs/reference/configuration.md", "../../README.md#exit-codes", true}, {"docs/reference/configuration.md", "../README.md", false},
		{"README.md", "https://example.com/#x", true}, {"README.md", home + "#exit-codes", true}, {"README.md", home + "#exit", false},
	} {
		if err := follow(pages, c.from, c.to); (err == nil) != c.good {
			t.Errorf("%s from %s: %v", c.to, c.from, err)
		}
	}
	if got := links("[a](b.md) `[c](d.md)`\n```\n[e](f.md)\n```\n[g]: h.md\n"); len(got) != 2 || got[0] != (link{"b.md", 1}) || got[1] != (link{"h.md", 5}) {
		t.Errorf("links: %v", got)
	}
}
