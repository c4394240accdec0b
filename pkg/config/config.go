// Package config turns a configuration in YAML into rotations, and describes itself: as a JSON Schema for
// editors and as reference pages.
//
// Its rules:
//
//   - The tags of the adapters' structs are the only source of keys, defaults, schema and reference.
//   - Everything that is wrong is reported at once, each with line and column, before anything is called.
//   - A credential is never written in a configuration; it comes from the environment or a file, and no
//     message repeats it.
//   - The text may come from anybody: it cannot make the loader panic, or use much memory or time.
package config

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/remint-dev/remint/pkg/rotate"
)

// Options say where a configuration comes from and what stands around it. The zero value is useful.
type Options struct {
	// Path is for messages only; "": "inline".
	Path string
	// Getenv reads the environment; nil: [os.Getenv].
	Getenv func(name string) string
	// ReadFile reads a credential for {file: PATH}; nil: the file system, up to 64 KiB.
	ReadFile func(path string) ([]byte, error)
	// Transport is put into the field Transport of every adapter that has one; nil: the adapter's own.
	Transport http.RoundTripper
	// OnSecret is told every credential as soon as it is known, before anything is done with it: the place to mask it.
	// Adapters with a field OnSecret tell it of those that they get later, from several goroutines. Nil: nobody is told.
	OnSecret func(rotate.Secret)
	// Invent makes up a credential that is missing, for a rehearsal. Nil: a missing credential is a problem.
	Invent func(adapter, key string) rotate.Secret
}

// Config is a configuration that was found right.
type Config struct {
	// Rotations are in the order of the text, those of one matrix side by side.
	Rotations []*Rotation
	// Parallel is how many groups of rotations run at a time; at least 1.
	Parallel int
	// Manual are rotations that are left to people.
	Manual []Manual
	// Warnings are what is allowed, but probably not meant.
	Warnings []Problem
}

// Rotation is a rotation and where it stands in the configuration.
type Rotation struct {
	*rotate.Rotation
	Line, Column int
	// Group is the index of the entry under `rotations` that it comes from. The rotations of one group run in
	// order, Parallel at a time, and the first failure keeps those from running that have not begun.
	Group    int
	Parallel int // at least 1
	// Skip says why the rotation is not run, except in an emergency; "": it is run.
	Skip string
	// Adapters are the provider, the `prove` verifiers, the sinks and the `verify` verifiers, in this order.
	Adapters []Adapter
}

// Manual is a rotation that remint must not touch.
type Manual struct {
	Name, How    string
	Line, Column int
}

// Adapter is one adapter of a rotation.
type Adapter struct {
	Name         string // such as "fly"
	Key          string // such as "rotations[0].provider.fly"
	Line, Column int
	Value        any // as in the rotation, such as a *fly.Provider
}

// Groups returns the rotations by Group.
func (c *Config) Groups() [][]*Rotation {
	var groups [][]*Rotation
	for i, r := range c.Rotations {
		if i == 0 || r.Group != c.Rotations[i-1].Group {
			groups = append(groups, nil)
		}
		groups[len(groups)-1] = append(groups[len(groups)-1], r)
	}
	return groups
}

// Load reads a configuration. It calls no service and changes nothing. An error is [Problems] and lists
// all that is wrong.
func Load(text []byte, o Options) (*Config, error) { return load(text, o, adapters()) }

func load(text []byte, o Options, c catalog) (*Config, error) {
	if o.Path == "" {
		o.Path = "inline"
	}
	if o.Getenv == nil {
		o.Getenv = os.Getenv
	}
	if o.ReadFile == nil {
		o.ReadFile = readCredential
	}
	l := &loader{
		Options: o,
		catalog: c,
		wrong:   notes{path: o.Path},
		warn:    notes{path: o.Path},
		shared:  map[reflect.Type]reflect.Value{},
		known:   map[string]bool{},
		tables:  map[reflect.Type][]field{},

		expansion: maxExpansion,
	}
	var config *Config
	if root := l.parse(text); root != nil {
		config = l.top(root)
	}
	if wrong := l.wrong.sorted(); len(wrong) > 0 {
		return nil, Problems(wrong)
	}
	config.Warnings = l.warn.sorted()
	return config, nil
}

// loader is the state of one Load.
type loader struct {
	Options
	catalog     catalog
	wrong, warn notes

	tables    map[reflect.Type][]field       // keys of the structs met so far
	defaults  []pair                         // keys of a rotation
	each      map[string][]pair              // `defaults` of an adapter, by its name
	shared    map[reflect.Type]reflect.Value // what adapters share, see the field Shared
	known     map[string]bool                // texts of credentials: told to OnSecret, and kept out of messages
	expansion int                            // bytes that texts with variables may still become
}

func (l *loader) fields(t reflect.Type) []field {
	fs, ok := l.tables[t]
	if !ok {
		fs = fieldsOf(t)
		l.tables[t] = fs
	}
	return fs
}

// Places are where [Find] looks, in a directory.
var places = []string{"remint.yaml", ".github/remint.yaml", ".forgejo/remint.yaml", ".gitea/remint.yaml"}

// Find returns the path of the configuration of the repository in dir: remint.yaml there, or in .github, .forgejo
// or .gitea. None, or more than one, is an error that wraps [rotate.ErrConfig].
func Find(dir string) (string, error) {
	var found []string
	for _, p := range places {
		at := filepath.Join(dir, filepath.FromSlash(p))
		if s, err := os.Stat(at); err == nil && s.Mode().IsRegular() {
			found = append(found, at)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return "", fmt.Errorf("%w: no configuration: none of %s exists; name another file with --config, or the input `config`",
			rotate.ErrConfig, strings.Join(places, ", "))
	default:
		return "", fmt.Errorf("%w: %s exist; name one with --config, or the input `config`", rotate.ErrConfig, strings.Join(found, " and "))
	}
}

// Read reads a configuration file, up to what [Load] accepts and one byte more, so that Load refuses what
// is larger.
func Read(path string) ([]byte, error) {
	b, err := readLimited(path, maxSize+1)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", rotate.ErrConfig, err)
	}
	return b, nil
}

// LooksInline reports whether a text is meant as a configuration rather than as the path of one: it has
// more than one line, or a `key: value`, or begins with a brace.
func LooksInline(text string) bool {
	text = strings.TrimSpace(text)
	return strings.ContainsAny(text, "\n\r") || strings.Contains(text, ": ") || strings.HasSuffix(text, ":") || strings.HasPrefix(text, "{")
}

const maxCredential = 64 << 10 // bytes; the largest secret of any sink is smaller

func readCredential(path string) ([]byte, error) {
	b, err := readLimited(path, maxCredential+1)
	if err == nil && len(b) > maxCredential {
		return nil, errors.New("it is larger than 64 KiB")
	}
	return b, err
}

func readLimited(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return io.ReadAll(io.LimitReader(f, limit))
}
