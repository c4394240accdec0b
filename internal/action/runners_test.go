package action

import (
	"bufio"
	"errors"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// What the runners do with what we print and write, as far as it matters here. Sources: actions/runner (ActionCommand.cs,
// ActionCommandManager.cs, FileCommandManager.cs); act, Forgejo and Gitea share their ancestor's command.go and
// parse_env_file.go.

// command names that GitHub's runner knows; the others look at any name.
var registered = []string{"add-mask", "add-matcher", "remove-matcher", "add-path", "debug", "echo", "endgroup", "error", "group",
	"internal-set-repo-path", "notice", "save-state", "set-env", "set-output", "stop-commands", "warning"}

type parsed struct {
	name  string
	props map[string]string
	data  string
}

// githubLine is how GitHub's runner reads a line of the log; nil: it is no command.
func githubLine(line string) *parsed {
	unescape := func(s string, pairs ...string) string {
		for i := 0; i < len(pairs); i += 2 {
			s = strings.ReplaceAll(s, pairs[i], pairs[i+1])
		}
		return s
	}
	make := func(info, data, separator string) *parsed {
		name, rest, _ := strings.Cut(info, " ")
		if !slices.Contains(registered, strings.ToLower(name)) {
			return nil
		}
		p := &parsed{name: strings.ToLower(name), props: map[string]string{}, data: unescape(data, "%0D", "\r", "%0A", "\n", "%25", "%")}
		for pair := range strings.SplitSeq(strings.TrimSpace(rest), separator) {
			if k, v, ok := strings.Cut(pair, "="); ok {
				p.props[k] = unescape(v, "%0D", "\r", "%0A", "\n", "%3A", ":", "%2C", ",", "%25", "%")
			}
		}
		return p
	}
	if rest, ok := strings.CutPrefix(strings.TrimLeftFunc(line, unicode.IsSpace), "::"); ok {
		if info, data, ok := strings.Cut(rest, "::"); ok {
			if p := make(info, data, ","); p != nil {
				return p
			}
		}
	}
	if _, rest, ok := strings.Cut(line, "##["); ok {
		if info, data, ok := strings.Cut(rest, "]"); ok {
			return make(info, data, ";")
		}
	}
	return nil
}

var (
	actNew = regexp.MustCompile(`^::([^ ]+)( .+)?::([^\r\n]*)$`)
	actOld = regexp.MustCompile(`^##\[([^ ]+)( .+)?\]([^\r\n]*)$`)
)

// actLine is how the other runners read a line: the longest name wins, whatever it is.
func actLine(line string) *parsed {
	for _, re := range []*regexp.Regexp{actNew, actOld} {
		if m := re.FindStringSubmatch(line); m != nil {
			return &parsed{name: m[1], data: m[3]}
		}
	}
	return nil
}

type setting struct{ key, value string }

// githubFile is how GitHub's runner reads GITHUB_OUTPUT on Linux.
func githubFile(text string) ([]setting, error) {
	var all []setting
	for text != "" {
		line, rest, _ := strings.Cut(text, "\n")
		text = rest
		if line == "" {
			continue
		}
		equals, heredoc := strings.Index(line, "="), strings.Index(line, "<<")
		switch {
		case equals >= 0 && (heredoc < 0 || equals < heredoc):
			if equals == 0 {
				return all, errors.New("empty name")
			}
			all = append(all, setting{line[:equals], line[equals+1:]})
		case heredoc >= 0:
			name, delimiter := line[:heredoc], line[heredoc+2:]
			if name == "" || delimiter == "" {
				return all, errors.New("empty name or delimiter")
			}
			var value []string
			for {
				if text == "" {
					return all, errors.New("no delimiter")
				}
				l, rest, newline := strings.Cut(text, "\n")
				text = rest
				if l == delimiter {
					break
				}
				if !newline {
					return all, errors.New("no delimiter")
				}
				value = append(value, l)
			}
			all = append(all, setting{name, strings.Join(value, "\n")})
		default:
			return all, errors.New("neither = nor <<")
		}
	}
	return all, nil
}

// forgejoFile is how Forgejo's runner and act read it.
func forgejoFile(text string) ([]setting, error) {
	var all []setting
	s := bufio.NewScanner(strings.NewReader(text)) // 64 KiB a line; its error is not looked at
	first := true
	for s.Scan() {
		line := s.Text()
		if first {
			line, first = strings.TrimPrefix(line, "\uFEFF"), false
		}
		equals, heredoc := strings.Index(line, "="), strings.Index(line, "<<")
		switch {
		case equals >= 0 && (heredoc < 0 || equals < heredoc):
			all = append(all, setting{line[:equals], line[equals+1:]})
		case heredoc >= 0:
			value, found := "", false
			for s.Scan() {
				if s.Text() == line[heredoc+2:] {
					found = true
					break
				}
				if value != "" {
					value += "\n"
				}
				value += s.Text()
			}
			if !found {
				return all, errors.New("no delimiter")
			}
			all = append(all, setting{line[:heredoc], value})
		default:
			return all, errors.New("neither = nor <<")
		}
	}
	return all, nil
}
