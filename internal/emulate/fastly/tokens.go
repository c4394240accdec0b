package fastly

import (
	"cmp"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// This file is sudo, minting and revocation.

// sudoLife is how long sudo lasts.
const sudoLife = 5 * time.Minute

const (
	sudoNeeded = "You must POST /sudo to access this endpoint"
	otpNeeded  = "2fa.verify"
)

// challenge compares user name, password and one-time code of a request with the owner of the token presented.
func challenge(w http.ResponseWriter, q *request, wrong int) bool {
	p := q.bearer.person
	if name := q.form.Get("username"); q.bearer.Automation || p.Locked || q.form.Get("password") != p.Password || p.Password == "" ||
		name != "" && !strings.EqualFold(name, p.Login) {
		fail(w, wrong, "Incorrect username and password combination", "")
		return false
	}
	if p.OTP != nil && q.Header.Get("Fastly-OTP") != p.OTP() {
		fail(w, http.StatusBadRequest, otpNeeded, "")
		return false
	}
	return true
}

func (s *Server) sudo(w http.ResponseWriter, q *request) {
	if !challenge(w, q, http.StatusForbidden) {
		return
	}
	now := s.instant()
	q.bearer.Sudo, q.bearer.shown = now.Add(sudoLife), s.now().Add(s.quirks.SudoDelay)
	s.answer(w, http.StatusOK, struct {
		Expiry string `json:"expiry_time"`
	}{q.bearer.Sudo.Format("2006-01-02T15:04:05") + "+00:00"}, status|rates)
}

// sudoer reports whether the token presented is in sudo.
func (s *Server) sudoer(q *request) bool {
	now := s.now()
	return now.Before(q.bearer.Sudo) && !now.Before(q.bearer.shown)
}

// wish is what a create asks for.
type wish struct {
	name, role, scope string
	services          []string
	limited           bool
	tls               bool
	expires           time.Time
}

// wished reads a create. Unknown fields are ignored. It answers itself if something is wrong.
func (s *Server) wished(w http.ResponseWriter, q *request) (wish, bool) {
	x := wish{name: q.form.Get("name"), role: q.form.Get("role"), scope: cmp.Or(q.form.Get("scope"), "global"), services: q.form["services[]"]}
	x.limited, _ = strconv.ParseBool(q.form.Get("limit_services"))
	if q.fields != nil {
		_ = json.Unmarshal(q.fields["services"], &x.services)
		_ = json.Unmarshal(q.fields["limit_services"], &x.limited)
		_ = json.Unmarshal(q.fields["tls_access"], &x.tls)
	}
	if text := q.form.Get("expires_at"); text != "" {
		var err error
		if x.expires, err = time.Parse(time.RFC3339, text); err != nil || !x.expires.After(s.now()) {
			fail(w, http.StatusUnprocessableEntity, "Invalid expires_at", "expires_at must be a time in the future, in ISO 8601")
			return x, false
		}
	}
	if strings.TrimSpace(x.name) == "" {
		fail(w, http.StatusBadRequest, "Bad request", "Name can't be blank")
		return x, false
	}
	for _, word := range strings.Fields(x.scope) {
		if !slices.Contains([]string{"global", "global:read", "purge_all", "purge_select"}, word) {
			fail(w, http.StatusBadRequest, "invalid_scope", "")
			return x, false
		}
	}
	for _, id := range x.services {
		if !slices.ContainsFunc(s.services, func(v Service) bool { return v.ID == id && !v.Deleted }) {
			fail(w, http.StatusBadRequest, "Bad request", "Service not found")
			return x, false
		}
	}
	return x, true
}

// full answers if a user has as many tokens of a kind as may be. How Fastly does is not known.
func (s *Server) full(w http.ResponseWriter, p *person, automation bool) bool {
	n := 0
	for _, r := range s.rows {
		if r.person == p && r.Automation == automation && r.Revoked.IsZero() && s.alive(r) {
			n++
		}
	}
	if n < cmp.Or(s.quirks.Most, 100) {
		return false
	}
	fail(w, http.StatusBadRequest, "Bad request", "The maximum number of tokens is reached")
	return true
}

// birth makes what was asked for, as far as the quirks have it.
func (s *Server) birth(q *request, x wish, automation bool) *row {
	r := &row{person: q.bearer.person, text: newText(), hidden: s.quirks.UnseenBirths, Row: Row{
		ID: NewID(), Name: x.name, Automation: automation, User: q.bearer.person.Login, Role: cmp.Or(s.quirks.Role, x.role),
		Scope: cmp.Or(s.quirks.Scope, x.scope), Created: s.instant(), Expires: x.expires, TLS: x.tls || s.quirks.TLS,
	}}
	if !automation {
		r.Role = ""
	}
	if s.quirks.Life > 0 {
		r.Expires = r.Created.Add(s.quirks.Life)
	}
	if (x.limited || s.quirks.ServicesAlone) && !s.quirks.IgnoreLimit {
		r.Services = slices.Concat(x.services, s.quirks.ExtraServices)
	}
	if r.Services == nil {
		r.Services = []string{}
	}
	s.rows = append(s.rows, r)
	return r
}

// claimed is which services the answer to a create names.
func (s *Server) claimed(r *row, x wish) []string {
	if s.quirks.Echo {
		return x.services
	}
	return r.Services
}

func (s *Server) mintAutomation(w http.ResponseWriter, q *request) {
	switch {
	case q.bearer.Automation, q.bearer.person.Role != "superuser":
		forbid(w)
		return
	case s.quirks.ForcedSSO:
		forbid(w)
		return
	case !s.sudoer(q):
		fail(w, http.StatusForbidden, sudoNeeded, "")
		return
	}
	x, ok := s.wished(w, q)
	if !ok || s.full(w, q.bearer.person, true) {
		return
	}
	if !slices.Contains([]string{"billing", "engineer", "user"}, x.role) {
		fail(w, http.StatusBadRequest, "Bad request", "Role is not included in the list")
		return
	}
	r := s.birth(q, x, true)
	s.answer(w, cmp.Or(s.quirks.Created, http.StatusOK), s.bornAutomation(r, s.claimed(r, x)), status|newline)
}

func (s *Server) mintUser(w http.ResponseWriter, q *request) {
	if !challenge(w, q, http.StatusBadRequest) {
		return
	}
	if !s.sudoer(q) {
		fail(w, http.StatusForbidden, sudoNeeded, "")
		return
	}
	x, ok := s.wished(w, q)
	if !ok || s.full(w, q.bearer.person, false) {
		return
	}
	r := s.birth(q, x, false)
	s.answer(w, cmp.Or(s.quirks.Created, http.StatusOK), s.bornUser(r, s.claimed(r, x)), status|rates)
}

// kill revokes a token if the bearer may.
func (s *Server) kill(q *request, r *row) bool {
	if r.person != q.bearer.person && q.bearer.person.Role != "superuser" || q.bearer.Automation && r != q.bearer {
		return false
	}
	r.Revoked, r.visible = s.now(), s.quirks.UnseenRevocations
	return true
}

func (s *Server) revoke(w http.ResponseWriter, q *request) {
	id, _ := url.PathUnescape(q.URL.EscapedPath()[strings.LastIndex(q.URL.EscapedPath(), "/")+1:])
	r := s.byID(id)
	if r == nil {
		fail(w, http.StatusNotFound, "Record not found", "Cannot load the requested token")
		return
	}
	if !s.kill(q, r) {
		forbid(w)
		return
	}
	s.answer(w, http.StatusNoContent, nil, status|rates)
}

func (s *Server) revokeSelf(w http.ResponseWriter, q *request) {
	s.kill(q, q.bearer)
	s.answer(w, http.StatusNoContent, nil, status|rates)
}

func (s *Server) revokeMany(w http.ResponseWriter, q *request) {
	var list []struct{ Type, ID string }
	if kind, ext, _ := strings.Cut(q.Header.Get("Content-Type"), ";"); kind != "application/vnd.api+json" || strings.TrimSpace(ext) != "ext=bulk" ||
		json.Unmarshal(q.fields["data"], &list) != nil {
		fail(w, http.StatusBadRequest, "Bad request", "")
		return
	}
	var found []*row
	for _, one := range list {
		r := s.byID(one.ID)
		if r == nil || one.Type != "token" {
			fail(w, http.StatusNotFound, "Record not found", "Cannot load the requested token")
			return
		}
		found = append(found, r)
	}
	for _, r := range found {
		if !s.kill(q, r) {
			forbid(w)
			return
		}
	}
	s.answer(w, http.StatusNoContent, nil, status|rates)
}
