package tailscale

import (
	"crypto/rand"
	"time"
)

// This file is what a test or a rehearsal puts in and looks up.

// Key is an auth key as the service keeps it, without its text.
type Key struct {
	ID, Description string
	Type            string // "": auth; else api or client
	Reusable        bool
	Ephemeral       bool
	Preauthorized   bool
	Tags            []string
	ByClient        bool      // owned by the tailnet, as what an OAuth client makes
	Created         time.Time // zero: now
	Expires         time.Time // zero: never
	Revoked         time.Time // zero: not
	Used            bool      // of a one-off key: it registered a device, and is gone
}

// key is an auth key as kept.
type key struct {
	Key
	text   string
	hidden int // reads left in which its deletion does not show
}

type client struct {
	id   string
	tags []string
}

// access is what an access token may do.
type access struct {
	ends     time.Time // zero: never
	client   bool      // it was given to an OAuth client
	tags     []string  // which keys made with it may have
	mayWrite bool
}

// letters returns n random characters of a key.
func letters(n int) string {
	text := ""
	for len(text) < n {
		text += rand.Text()
	}
	return text[:n]
}

// AddAccess makes text an API access token of a user; readOnly: of one who may change nothing.
func (s *Server) AddAccess(text string, readOnly bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.access[text] = access{mayWrite: !readOnly}
}

// AddClient makes an OAuth client whose keys may have these tags. One with the secret is given the tags in addition.
func (s *Server) AddClient(id, secret string, tags ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clients[secret] = client{id, append(s.clients[secret].tags, tags...)}
}

// AddKey makes a key, and returns it as kept, and its text.
func (s *Server) AddKey(k Key) (Key, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	made := s.add(k)
	return made.Key, made.text
}

func (s *Server) add(k Key) *key {
	if k.ID == "" {
		k.ID = "k" + letters(11) + "CNTRL"
	}
	if k.Type == "" {
		k.Type = "auth"
	}
	if k.Created.IsZero() {
		k.Created = s.instant()
	}
	made := &key{Key: k, text: "tskey-" + k.Type + "-" + k.ID + "-" + letters(32)}
	s.keys = append(s.keys, made)
	return made
}

// Keys are all there ever were, oldest first, deleted ones too.
func (s *Server) Keys() []Key {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Key
	for _, k := range s.keys {
		out = append(out, k.Key)
	}
	return out
}

// Which finds the key that has a text, dead or alive.
func (s *Server) Which(text string) (Key, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.keys {
		if k.text == text && text != "" {
			return k.Key, true
		}
	}
	return Key{}, false
}

// Live reports whether a device could be registered with a text.
func (s *Server) Live(text string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.keys {
		if k.text == text && text != "" {
			return s.alive(k)
		}
	}
	return false
}

// Register registers a device: a key that is not reusable is gone then. It reports whether the key was accepted.
func (s *Server) Register(text string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.keys {
		if k.text == text && text != "" && s.alive(k) {
			k.Used = !k.Reusable
			return true
		}
	}
	return false
}

func (s *Server) instant() time.Time { return s.now().UTC().Truncate(time.Second) }

func (s *Server) alive(k *key) bool {
	return k.Revoked.IsZero() && !k.Used && (k.Expires.IsZero() || s.now().Before(k.Expires))
}

func (s *Server) byID(id string) *key {
	for _, k := range s.keys {
		if k.ID == id {
			return k
		}
	}
	return nil
}

// shown is a key as answered.
func (s *Server) shown(k *key, withText bool) map[string]any {
	at := func(t time.Time) string { return t.UTC().Format(time.RFC3339) }
	m := map[string]any{"id": k.ID, "keyType": k.Type, "created": at(k.Created), "description": k.Description}
	if !k.Expires.IsZero() {
		m["expires"], m["expirySeconds"] = at(k.Expires), int64(k.Expires.Sub(k.Created).Seconds())
	}
	if !k.ByClient {
		m["userId"] = "uscwcTtzzo11DEVEL"
	}
	if k.Type == "auth" {
		m["capabilities"] = capabilities{&devices{create{k.Reusable, k.Ephemeral, k.Preauthorized, k.Tags}}}
	} else {
		m["scopes"] = []string{"all"}
	}
	if !s.alive(k) && k.hidden == 0 {
		m["invalid"] = true
		if !k.Revoked.IsZero() {
			m["revoked"] = at(k.Revoked)
		}
	}
	if withText {
		m["key"] = k.text
	}
	return m
}
