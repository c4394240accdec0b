package signon

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/internal/pattern"
	"github.com/remint-dev/remint/pkg/rotate"
)

// This file is what is said to the script and what is understood of its answer. Rails prints what it likes before and
// after, so an answer is one line that begins as ours does and repeats the request's random mark; two are none.

// script is the Ruby program.
//
//go:embed signon.rb
var script string

// Verbs of the script.
const (
	verbCheck  = "check"
	verbList   = "list"
	verbMint   = "mint"
	verbRevoke = "revoke"
)

// request is one line to the script. It holds no secret: it may be kept in a Job.
type request struct {
	Remint      int    `json:"remint"` // version of this form
	ID          string `json:"id"`     // random; the answer repeats it
	Verb        string `json:"verb"`
	User        string `json:"user"`
	Application string `json:"application"`
	Initiator   string `json:"initiator,omitempty"`
	Name        string `json:"name,omitempty"`   // mint
	Key         string `json:"key,omitempty"`    // mint: the public key, DER in base64
	Token       string `json:"token,omitempty"`  // revoke: the row
	SHA256      string `json:"sha256,omitempty"` // revoke: of the value that the row must have
}

// answer is one line from the script.
type answer struct {
	Remint int    `json:"remint"`
	ID     string `json:"id"`
	Error  *struct {
		Kind    string `json:"kind"`
		Message string `json:"message"`
	} `json:"error"`
	Tokens []struct {
		Token   string `json:"token"`
		Name    string `json:"name"`
		Created int64  `json:"created"` // seconds since 1970
		Expires *int64 `json:"expires"` // null: never
		SHA256  string `json:"sha256"`
	} `json:"tokens"`
	Sealed []byte `json:"sealed"` // mint: the value, for our key only
	Secret string `json:"secret"` // name of the Secret that Signon copies the pair's token into
	Client string `json:"client"` // OAuth client id of the application
	Life   int64  `json:"life"`   // seconds
	Now    int64  `json:"now"`    // seconds since 1970
}

// row is a token as Signon keeps it.
type row struct {
	rotate.Token
	digest string // SHA-256 of its value, in hexadecimal
}

// about is what Signon says of the pair.
type about struct {
	secret, client string
	life, skew     time.Duration
}

// said is an answer that was understood.
type said struct {
	about
	rows   []row
	sealed []byte
}

// kinds are the words for errors.
var kinds = map[string]error{
	"config": rotate.ErrConfig, "denied": rotate.ErrDenied, "not-found": rotate.ErrNotFound, "limit": rotate.ErrLimit,
	"conflict": rotate.ErrConflict, "temporary": rotate.ErrTemporary, "unproven": rotate.ErrUnproven,
}

// runner runs the script with a request and returns what it wrote to standard output. With an error the output may
// hold an answer all the same.
type runner interface {
	run(ctx context.Context, request []byte) (output []byte, err error)
}

// ask sends one request. It is never repeated.
func (p *Provider) ask(ctx context.Context, q request) (said, error) {
	if err := p.open(); err != nil {
		return said{}, err
	}
	if err := ctx.Err(); err != nil {
		return said{}, err
	}
	q.Remint, q.ID, q.User, q.Application, q.Initiator = 1, rand.Text(), p.User, p.Application, p.Initiator
	line, err := json.Marshal(q)
	if err != nil {
		return said{}, fmt.Errorf("%w: the request cannot be written as JSON", rotate.ErrConfig)
	}
	bounded, cancel := context.WithTimeout(ctx, p.timeout())
	defer cancel()
	output, err := p.run.run(bounded, line)
	if err != nil && bounded.Err() != nil && ctx.Err() == nil {
		return said{}, fmt.Errorf("%w: the script did not end within %s; see that Signon is well, or raise timeout", rotate.ErrTemporary, p.timeout())
	}
	s, found, bad := understand(output, q.ID, time.Now())
	switch {
	case found && bad == nil:
		p.learn(s.about)
		return s, nil // whatever happened after the answer
	case found:
		return said{}, bad
	case err != nil:
		return said{}, err
	}
	return said{}, bad
}

// learn keeps what Signon says of the pair.
func (p *Provider) learn(a about) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.about = &a
}

// longest is the longest line that is looked at, in bytes.
const longest = 1 << 19

var (
	start   = []byte(`{"remint":`)
	decimal = pattern.New(`^[1-9][0-9]{0,18}$`)
)

// understand finds the answer to the request with this mark. found is false if there is none.
func understand(output []byte, id string, now time.Time) (s said, found bool, err error) {
	var a answer
	lines := bufio.NewScanner(bytes.NewReader(output))
	lines.Buffer(nil, longest)
	for lines.Scan() {
		line := bytes.TrimSpace(lines.Bytes())
		var this answer
		if !bytes.HasPrefix(line, start) || json.Unmarshal(line, &this) != nil || this.ID != id {
			continue
		}
		if found {
			return said{}, true, fmt.Errorf("%w: the script answered twice; nothing of it is believed", rotate.ErrConflict)
		}
		a, found = this, true
	}
	if !found {
		return said{}, false, fmt.Errorf("%w: the script gave no answer that is understood; see the log of Signon", rotate.ErrTemporary)
	}
	s, err = a.read(now)
	return s, true, err
}

// read makes sense of an answer.
func (a answer) read(now time.Time) (said, error) {
	if e := a.Error; e != nil {
		kind, ok := kinds[e.Kind]
		if !ok {
			kind = rotate.ErrTemporary
		}
		return said{}, fmt.Errorf("%w: %s", kind, httpx.Clean(encoded.ReplaceAllString(e.Message, "…"), 300))
	}
	bad := func(what string) (said, error) {
		return said{}, fmt.Errorf("%w: the script's answer has no usable %s", rotate.ErrTemporary, what)
	}
	switch {
	case a.Remint != 1:
		return bad("version")
	case !pattern.DNSName.MatchString(a.Secret):
		return bad("name of the Secret")
	case a.Client == "":
		return bad("client id")
	case a.Life <= 0 || a.Life > int64(100*365*24*time.Hour/time.Second):
		return bad("life")
	case !sane(a.Now):
		return bad("time")
	}
	s := said{sealed: a.Sealed, about: about{a.Secret, a.Client, time.Duration(a.Life) * time.Second, time.Unix(a.Now, 0).Sub(now).Truncate(time.Second)}}
	for _, t := range a.Tokens {
		digest, err := hex.DecodeString(t.SHA256)
		if !decimal.MatchString(t.Token) || !sane(t.Created) || t.Expires != nil && !sane(*t.Expires) || err != nil || len(digest) != 32 {
			return bad("token")
		}
		r := row{rotate.Token{ID: t.Token, Name: httpx.Clean(t.Name, 300), Created: time.Unix(t.Created, 0).UTC()}, strings.ToLower(t.SHA256)}
		if t.Expires != nil {
			r.Expires = time.Unix(*t.Expires, 0).UTC()
		}
		if slices.ContainsFunc(s.rows, func(o row) bool { return o.ID == r.ID || o.digest == r.digest || r.Name != "" && o.Name == r.Name }) {
			// Which of two rows a name means would be a guess, and what is guessed could be revoked.
			return said{}, fmt.Errorf("%w: two tokens have one number, value or name (%s); nothing is done until a person has looked at them", rotate.ErrConflict, r.ID)
		}
		s.rows = append(s.rows, r)
	}
	return s, nil
}

// sane reports whether seconds since 1970 are an instant that can be written down.
func sane(seconds int64) bool { return seconds > 0 && seconds < 253402300800 } // the year 10000

// encoded is what a value could be written in; parts of addresses have dots and are shorter.
var encoded = pattern.New(`[A-Za-z0-9+/_=-]{40,}`)
