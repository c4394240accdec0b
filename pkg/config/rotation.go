package config

import (
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"

	"go.yaml.in/yaml/v3"

	"github.com/remint-dev/remint/pkg/cluster"
	"github.com/remint-dev/remint/pkg/rotate"
)

// This file turns the entries of `rotations` and `defaults` into rotations.

const (
	maxRotations = 1000
	maxVisits    = 300_000  // values looked at while a matrix and the defaults multiply them
	maxName      = 100      // bytes; the minted name adds 32
	maxText      = 300      // bytes of an identity
	maxValue     = 1000     // bytes of a variable
	maxExpansion = 16 << 20 // bytes that texts with variables become, all together
)

// topKeys are the keys of a configuration.
type topKeys struct {
	Rotations any `yaml:"rotations" required:"true" doc:"The rotations: each a token that is replaced, with the places that hold it."`
	Defaults  any `yaml:"defaults" doc:"What several rotations share: keys of a rotation, used where a rotation does not give them, and names of adapters with keys, used wherever that adapter stands and does not give them."`
	Parallel  int `yaml:"parallel" default:"1" doc:"How many rotations run at a time; those of one matrix count as one."`
}

// rotationKeys are the keys of a rotation.
type rotationKeys struct {
	Name        string              `yaml:"name" required:"true" example:"web deploy" doc:"Begins the name of every token that is minted, and names the rotation in results and for --only. At most 100 bytes; no two rotations of a configuration share it."`
	ID          string              `yaml:"id" example:"git.example.com/example/web/deploy" doc:"The identity, which keeps rotations of the same name in one account apart. By default host, repository and name, as the runner tells them; outside a runner it must be given. A rotation whose identity changes forgets the tokens it minted."`
	Matrix      []map[string]string `yaml:"matrix" example:"[{env: staging}, {env: production}]" doc:"Makes one rotation of each entry; ${name} in any text of the rotation is the entry's value. At most 256 entries. They run in order, and after a failure those that have not begun do not run."`
	Parallel    int                 `yaml:"parallel" default:"1" doc:"How many rotations of the matrix run at a time."`
	Cluster     *cluster.Cluster    `yaml:"cluster" doc:"The Kubernetes cluster of every adapter of the rotation that needs one and names none itself. Adapters that take region, role, account or namespace and do not give them use the cluster's."`
	HandIn      rotate.Secret       `yaml:"hand-in" doc:"A person makes the tokens, since the provider forbids it to machines, and hands each in here: {env: NAME}, which may be empty until then. remint makes sure that it is what the provider's keys ask for, then does all the rest. Due with nothing handed in is a warning, in the last tenth of the life an error."`
	Provider    choice              `yaml:"provider" required:"true" kind:"provider" doc:"The service that mints, lists and revokes the token."`
	Prove       []choice            `yaml:"prove" kind:"verifier" doc:"Verifiers that the newborn token must pass before any sink is touched. If one fails, the newborn is revoked and nothing else has changed."`
	Sinks       []choice            `yaml:"sinks" required:"true" kind:"sink" doc:"The places that consumers read the token from; at least one."`
	Verify      []choice            `yaml:"verify" kind:"verifier" doc:"Verifiers that run in order after all sinks are written: they show that consumers took the token up. Only then is its predecessor revoked."`
	Skip        string              `yaml:"skip" example:"overwritten from production every night" doc:"Why this rotation is not run. It is shown in every run, and ignored in an emergency (--compromised)."`
	Manual      string              `yaml:"manual" example:"see https://wiki.example.com/trade-tariff" doc:"Leaves the rotation to people, and says how they do it. It then has a name and nothing else; remint shows it in every run and touches nothing."`
	Acknowledge bool                `yaml:"acknowledge" doc:"The consumers are somebody else's: after the verifiers passed, the rotation is held, and nothing is revoked, until a person who knows that they took the token up runs remint with --acknowledge."`
	Attempts    int                 `yaml:"attempts" default:"1" doc:"How often verify is run, from its first verifier, before its failure counts and what the sinks held before is restored; from 1 to 10. More than once needs verifiers that may run again: not dispatch, and command only with repeat."`
	Every       time.Duration       `yaml:"every" example:"75d" doc:"The age at which a token is replaced. By default 5/6 of its life, if the provider tells that. At least two days before its end, since remint looks once a day."`
	Grace       time.Duration       `yaml:"grace" default:"0" doc:"How long a superseded token goes on working after its successor was minted."`
	Spread      time.Duration       `yaml:"spread" default:"0" doc:"Moves the due date ahead by up to this much, different for each identity, so that many rotations do not fall due on one day. Shorter than every."`
	Adopt       []string            `yaml:"adopt" example:"[\"web deploy *\"]" doc:"Tokens made by hand that this rotation replaces and then revokes: globs of their names (* is any text, ? is one character), or id: and the token's id. A minted name never matches."`
	MaxRevoke   int                 `yaml:"max-revoke" default:"10" doc:"The most tokens that one run revokes, and the number of live generations at which no further one is minted; at least 2."`
	Deadline    time.Duration       `yaml:"deadline" default:"1h" doc:"When a run ends itself; from 1m to 12h. While the newest token is younger than this, another run is taken to be alive."`
	Compromised time.Time           `yaml:"compromised" example:"2026-01-31T15:04:05Z" doc:"Tokens born before this instant are not to be trusted: they are replaced at once and revoked without grace, before the verification. Date, time and zone as in RFC 3339; not in the future."`
}

// notDefaults are keys that only a rotation itself may have.
var notDefaults = []string{"name", "id", "matrix", "compromised", "hand-in", "skip", "manual"}

// top reads the whole configuration.
func (l *loader) top(root *yaml.Node) *Config {
	c := &Config{Parallel: 1}
	d := l.decoder("", "", root, noVariables())
	if root.Kind != yaml.MappingNode {
		d.report(root, "", "want a mapping with the key rotations, found %s", found(root))
		return c
	}
	ps := pairs(root)
	fields := l.fields(reflect.TypeFor[topKeys]())
	for _, p := range ps {
		if find(fields, p.name) != nil {
			continue
		}
		if find(l.fields(reflect.TypeFor[rotationKeys]()), p.name) != nil {
			d.report(p.key, p.name, "this is a key of a rotation; put it into an entry under rotations, or under defaults")
			continue
		}
		d.unknownKey(p.key, "", fields)
	}
	if n := lookup(ps, "defaults"); n != nil {
		l.readDefaults(n)
	}
	if n := lookup(ps, "parallel"); n != nil {
		c.Parallel = d.parallel(n)
	}
	n := lookup(ps, "rotations")
	switch {
	case n == nil:
		d.report(root, "rotations", "missing; give a list of rotations")
	case n.Kind != yaml.SequenceNode:
		d.report(n, "rotations", "want a list, found %s; begin each rotation with `- `", found(n))
	case len(n.Content) == 0:
		d.report(n, "rotations", "the list is empty; give at least one rotation")
	case len(n.Content) > maxRotations:
		d.report(n, "rotations", "%d rotations; the limit is %d", len(n.Content), maxRotations)
	default:
		l.rotations(c, n)
	}
	return c
}

func noVariables() *variables { return &variables{used: map[string]bool{}} }

// readDefaults sorts what stands under `defaults`.
func (l *loader) readDefaults(n *yaml.Node) {
	d := l.decoder("defaults", "", n, noVariables())
	if n.Kind != yaml.MappingNode {
		d.report(n, "", "want a mapping, found %s", found(n))
		return
	}
	fields := l.fields(reflect.TypeFor[rotationKeys]())
	known := keysOf(fields)
	for _, e := range l.catalog {
		known = append(known, e.name)
	}
	l.each = map[string][]pair{}
	for _, p := range pairs(n) {
		if slices.Contains(notDefaults, p.name) {
			d.report(p.key, p.name, "every rotation has its own; remove it from defaults")
			continue
		}
		if find(fields, p.name) != nil {
			l.defaults = append(l.defaults, p)
			continue
		}
		namesakes := l.catalog.named(p.name)
		if len(namesakes) == 0 {
			d.report(p.key, bare(p.name), "neither a key of a rotation nor an adapter%s", meant(p.name, known))
			continue
		}
		a := l.decoder("defaults."+p.name, p.name, p.value, d.vars)
		var own []field // of all of that name; each takes those that it has
		for _, e := range namesakes {
			own = append(own, l.fields(reflect.TypeOf(e.make()).Elem())...)
		}
		given, ok := a.keys(p.value, own)
		if !ok {
			continue
		}
		for _, k := range given {
			if find(own, k.name) != nil {
				l.each[p.name] = append(l.each[p.name], k)
			} else {
				a.unknownKey(k.key, "", own)
			}
		}
	}
}

// rotations reads the list of rotations, every matrix expanded.
func (l *loader) rotations(c *Config, list *yaml.Node) {
	sizes := map[*yaml.Node]int{}
	shared := 0
	for _, p := range l.defaults {
		shared += sizeOf(p.value, sizes)
	}
	for _, ps := range l.each {
		for _, p := range ps {
			shared += sizeOf(p.value, sizes)
		}
	}
	visits := 0
	var all []*loaded
	for i, n := range list.Content {
		base := fmt.Sprintf("rotations[%d]", i)
		if n.Kind != yaml.MappingNode {
			d := l.decoder(base, "", n, noVariables())
			d.report(n, "", "want a rotation (a mapping with name, provider and sinks), found %s", found(n))
			continue
		}
		entries, parallel := l.matrix(base, n)
		size := sizeOf(n, sizes) + shared
		if m := lookup(pairs(n), "matrix"); m != nil {
			size -= sizes[m]
		}
		visits += size * len(entries)
		if visits > maxVisits || len(all)+len(entries) > maxRotations {
			l.wrong.add(n.Line, n.Column, base, fmt.Sprintf("up to here the matrices make more than %d rotations, or more work than the limit allows", maxRotations))
			return
		}
		for _, vars := range entries {
			if lookup(pairs(n), "manual") != nil {
				l.manual(c, base, n, vars)
				continue
			}
			r := l.rotation(base, n, vars)
			r.Group, r.Parallel = i, parallel
			all = append(all, r)
		}
		if len(entries) > 0 {
			l.unused(base, n, entries[0])
		}
	}
	l.distinct(all)
	for _, r := range all {
		c.Rotations = append(c.Rotations, &r.Rotation)
	}
}

// manual reads a rotation that is left to people.
func (l *loader) manual(c *Config, base string, n *yaml.Node, vars *variables) {
	d := l.decoder(base, "", n, vars)
	fields := slices.DeleteFunc(slices.Clone(l.fields(reflect.TypeFor[rotationKeys]())), func(f field) bool { return f.key != "name" && f.key != "manual" })
	var k rotationKeys
	var given []pair
	for _, p := range pairs(n) {
		switch p.name {
		case "name", "manual":
			given = append(given, p)
		case "matrix", "parallel":
		default:
			d.report(p.key, bare(p.name), "a rotation that is left to people has a name and nothing else; remove this, or manual")
		}
	}
	d.structure(reflect.ValueOf(&k).Elem(), fields, given, nil, n, "")
	c.Manual = append(c.Manual, Manual{k.Name, oneLine(k.Manual), n.Line, n.Column})
}

// sizeOf counts the nodes of a tree without aliases; what appears twice is counted twice, but walked once.
func sizeOf(n *yaml.Node, sizes map[*yaml.Node]int) int {
	if s := sizes[n]; s > 0 {
		return s
	}
	s := 1
	for _, c := range n.Content {
		s += sizeOf(c, sizes)
	}
	sizes[n] = s
	return s
}

// loaded is a rotation while the configuration is being checked.
type loaded struct {
	Rotation
	base     string
	nameNode *yaml.Node
	idNode   *yaml.Node
	entry    int // of the matrix, from 1
	sinks    []choice
}

// rotation reads one rotation, for one entry of its matrix.
func (l *loader) rotation(base string, n *yaml.Node, vars *variables) *loaded {
	d := l.decoder(base, "", n, vars)
	fields := l.fields(reflect.TypeFor[rotationKeys]())
	var k rotationKeys
	given := slices.DeleteFunc(pairs(n), func(p pair) bool { return p.name == "matrix" || p.name == "parallel" })
	given, fields = d.cluster(&k, fields, given, n)
	d.structure(reflect.ValueOf(&k).Elem(), fields, given, l.defaults, n, "")

	r := &loaded{base: base, entry: vars.entry, nameNode: n, sinks: k.Sinks}
	r.Line, r.Column, r.Skip = n.Line, n.Column, oneLine(k.Skip)
	r.Rotation.Rotation = &rotate.Rotation{
		ID: k.ID, Name: k.Name,
		Every: k.Every, Grace: k.Grace, Spread: k.Spread, Attempts: k.Attempts, Acknowledge: k.Acknowledge,
		MaxRevoke: k.MaxRevoke, Deadline: k.Deadline, Compromised: k.Compromised,
	}
	if at := d.at["name"]; at != nil {
		r.nameNode = at
	}
	r.idNode = r.nameNode
	d.identity(r)
	d.adapters(r, &k)
	d.times(r, &k)
	r.Adopt = d.adopt(k.Adopt)
	return r
}

// identity checks name and id, and makes up the id of a rotation in a runner.
func (d *decoder) identity(r *loaded) {
	for _, x := range []struct {
		key, text string
		most      int
	}{{"name", r.Name, maxName}, {"id", r.ID, maxText}} {
		switch {
		case x.text == "" || d.bad[x.key]:
		case len(x.text) > x.most:
			d.report(d.at[x.key], x.key, "%d bytes; the limit is %d", len(x.text), x.most)
		case strings.TrimSpace(x.text) != x.text || strings.ContainsFunc(x.text, unicode.IsControl):
			d.report(d.at[x.key], x.key, "must not begin or end with a space, nor hold a control character")
		}
	}
	if at := d.at["id"]; at != nil {
		r.idNode = at
		return
	}
	server, repository := d.Getenv("GITHUB_SERVER_URL"), d.Getenv("GITHUB_REPOSITORY")
	u, err := url.Parse(server)
	if err != nil || u.Host == "" || repository == "" {
		d.bad["id"] = true
		d.wrong.once(d.where, d.path("id"), "no identity outside a runner: give `id:`, unique among all rotations of the provider's account, such as git.example.com/example/web/deploy")
		return
	}
	if r.Name != "" {
		r.ID = strings.ToLower(u.Host) + "/" + repository + "/" + r.Name
	}
}

// adapters puts the adapters into the rotation.
func (d *decoder) adapters(r *loaded, k *rotationKeys) {
	put := func(c choice) any {
		if c.value == nil {
			return nil
		}
		value := concrete(c.value)
		r.Adapters = append(r.Adapters, Adapter{c.entry.name, c.key, c.node.Line, c.node.Column, value})
		return value
	}
	r.Provider, _ = put(k.Provider).(rotate.Provider)
	if at := d.at["hand-in"]; at != nil {
		r.HandIn = &rotate.HandIn{Secret: k.HandIn}
		if _, ok := r.Provider.(rotate.Inspector); !ok && k.Provider.value != nil {
			d.report(at, "hand-in", "%s cannot tell whether a token made by a person is the right one", k.Provider.entry.name)
		}
	}
	verifiers := func(cs []choice) (out []rotate.Verifier) {
		for _, c := range cs {
			if v, ok := put(c).(rotate.Verifier); ok {
				out = append(out, v)
			}
		}
		return out
	}
	r.Prove = verifiers(k.Prove)
	_, identifies := r.Provider.(rotate.Identifier)
	for i, c := range k.Sinks {
		s, ok := put(c).(rotate.Sink)
		if !ok {
			continue
		}
		if b, ok := s.(interface{ Beside(rotate.Provider) error }); ok && r.Provider != nil { // a sink that is fed by its provider
			for _, err := range leaves(b.Beside(r.Provider)) {
				d.report(c.node, fmt.Sprintf("sinks[%d].%s", i, c.entry.name), "%s", d.clean(err))
			}
		}
		r.Sinks = append(r.Sinks, s)
		_, holds := s.(rotate.Holder)
		if _, reads := s.(rotate.Reader); !holds && !(reads && identifies) && k.Provider.value != nil {
			d.report(c.node, fmt.Sprintf("sinks[%d].%s", i, c.entry.name), "cannot say which token it holds: it has no marker, and nothing that %s could identify", k.Provider.entry.name)
		}
	}
	r.Verify = verifiers(k.Verify)
	d.attempts(r, k)
	if len(r.Prove)+len(r.Verify) == 0 && r.Grace == 0 && len(d.bad) == 0 {
		d.warning(d.where, "verify", "nothing shows that consumers took a new token up before the old one is revoked; give verify, or at least a grace")
	}
}

// attempts checks what only all verifiers together can break.
func (d *decoder) attempts(r *loaded, k *rotationKeys) {
	if !d.bad["attempts"] && (k.Attempts < 1 || k.Attempts > 10) {
		d.report(d.place("attempts"), "attempts", "want a number from 1 to 10, found %d", k.Attempts)
	}
	advice := 0
	for i, c := range k.Verify {
		if a, ok := c.value.(interface{ Advisory() bool }); ok && a.Advisory() {
			advice++
		}
		if a, ok := c.value.(rotate.Repeater); c.value != nil && k.Attempts > 1 && (!ok || !a.Repeatable()) {
			d.report(c.node, fmt.Sprintf("verify[%d].%s", i, c.entry.name), "cannot be run again in one run; remove attempts, or this verifier")
		}
	}
	if advice > 0 && advice == len(r.Verify) {
		d.report(k.Verify[0].node, "verify[0]."+k.Verify[0].entry.name, "shows that something is wrong, but never that a token works; add a verifier that does")
	}
}

func (d *decoder) warning(at *yaml.Node, key, format string, args ...any) {
	d.warn.add(at.Line, at.Column, d.path(key), fmt.Sprintf(format, args...))
}

// place returns what to point at for a key: its value, else the rotation.
func (d *decoder) place(key string) *yaml.Node {
	if n := d.at[key]; n != nil {
		return n
	}
	return d.where
}

// adopt makes a predicate of globs and ids.
func (d *decoder) adopt(patterns []string) func(rotate.Token) bool {
	for i, p := range patterns {
		if id, ok := strings.CutPrefix(p, "id:"); ok && strings.TrimSpace(id) == "" {
			key := fmt.Sprintf("adopt[%d]", i)
			d.report(d.place(key), key, "an id is missing after id:")
		}
	}
	if len(patterns) == 0 {
		return nil
	}
	return func(t rotate.Token) bool {
		if _, ok := rotate.Minted(t); ok {
			return false
		}
		return slices.ContainsFunc(patterns, func(p string) bool {
			if id, ok := strings.CutPrefix(p, "id:"); ok {
				return t.ID != "" && strings.TrimSpace(id) == t.ID
			}
			return Match(p, t.Name)
		})
	}
}
