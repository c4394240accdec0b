package fastly

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// This file is what is read, and the form of every answer with a token. Fields stand in the order of the recordings.

// null is a text, or null if it is "".
func null(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// stamp is a time as Fastly writes it; "" if it is zero.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// bornAutomation is the answer to a create: what is not there is "".
func (s *Server) bornAutomation(r *row, services []string) any {
	return struct {
		ID       string   `json:"id"`
		Services []string `json:"services"`
		Name     string   `json:"name"`
		Role     string   `json:"role"`
		Text     string   `json:"access_token"`
		Scope    string   `json:"scope"`
		IP       string   `json:"ip"`
		Created  string   `json:"created_at"`
		LastUsed string   `json:"last_used_at"`
		Expires  string   `json:"expires_at"`
		Agent    string   `json:"user_agent"`
		TLS      bool     `json:"tls_access"`
		Customer string   `json:"customer_id"`
	}{r.ID, services, r.Name, r.Role, r.text, r.Scope, r.IP, stamp(r.Created), stamp(r.LastUsed), stamp(r.Expires), r.Agent, r.TLS, s.customer()}
}

// oneAutomation is the answer to a read of one: what is not there is null, and less is said.
func oneAutomation(r *row) any {
	return struct {
		ID       string   `json:"id"`
		Services []string `json:"services"`
		Name     string   `json:"name"`
		Role     string   `json:"role"`
		Text     string   `json:"access_token"`
		Scope    string   `json:"scope"`
		IP       *string  `json:"ip"`
		Created  string   `json:"created_at"`
		LastUsed *string  `json:"last_used_at"`
		Expires  *string  `json:"expires_at"`
		Agent    *string  `json:"user_agent"`
	}{r.ID, r.Services, r.Name, r.Role, "", r.Scope, null(r.IP), stamp(r.Created), null(stamp(r.LastUsed)), null(stamp(r.Expires)), null(r.Agent)}
}

// rowAutomation is a row of the list: the scope is called scopes, and is a text.
func (s *Server) rowAutomation(r *row) any {
	return struct {
		ID       string   `json:"id"`
		Creator  string   `json:"creator_id"`
		Customer string   `json:"customer_id"`
		Name     string   `json:"name"`
		Text     string   `json:"access_token"`
		Role     string   `json:"role"`
		IP       *string  `json:"ip"`
		Agent    *string  `json:"user_agent"`
		Scopes   string   `json:"scopes"`
		Services []string `json:"services"`
		Service  *string  `json:"service_id"`
		Sudo     *string  `json:"sudo_expires_at"`
		LastUsed *string  `json:"last_used_at"`
		Created  string   `json:"created_at"`
		Expires  *string  `json:"expires_at"`
		TLS      bool     `json:"tls_access"`
	}{r.ID, r.person.ID, s.customer(), r.Name, "", r.Role, null(r.IP), null(r.Agent), r.Scope, r.Services, last(r.Services),
		null(stamp(r.Sudo)), null(stamp(r.LastUsed)), stamp(r.Created), null(stamp(r.Expires)), r.TLS}
}

// bornUser is the answer to a create.
func (s *Server) bornUser(r *row, services []string) any {
	return struct {
		ID       string   `json:"id"`
		Name     string   `json:"name"`
		User     string   `json:"user_id"`
		Customer string   `json:"customer_id"`
		Service  *string  `json:"service_id"`
		Expires  *string  `json:"expires_at"`
		Created  string   `json:"created_at"`
		Updated  string   `json:"updated_at"`
		Scope    string   `json:"scope"`
		Services []string `json:"services"`
		Text     string   `json:"access_token"`
	}{r.ID, r.Name, r.person.ID, s.customer(), last(services), null(stamp(r.Expires)), stamp(r.Created), stamp(r.Created), r.Scope, services, r.text}
}

// rowUser is a row of the list, and what a token hears of itself.
func (s *Server) rowUser(r *row) any {
	return struct {
		ID       string   `json:"id"`
		User     string   `json:"user_id"`
		Customer string   `json:"customer_id"`
		Name     string   `json:"name"`
		LastUsed *string  `json:"last_used_at"`
		Created  string   `json:"created_at"`
		Expires  *string  `json:"expires_at"`
		IP       *string  `json:"ip"`
		Agent    *string  `json:"user_agent"`
		Sudo     *string  `json:"sudo_expires_at"`
		Scopes   []string `json:"scopes"`
		Scope    string   `json:"scope"`
		Services []string `json:"services"`
		Service  *string  `json:"service_id"`
	}{r.ID, r.person.ID, s.customer(), r.Name, null(stamp(r.LastUsed)), stamp(r.Created), null(stamp(r.Expires)), null(r.IP), null(r.Agent),
		null(stamp(r.Sudo)), strings.Fields(r.Scope), r.Scope, r.Services, last(r.Services)}
}

// last is the service_id of a token: with several services the last one, as recorded.
func last(services []string) *string {
	if len(services) == 0 {
		return nil
	}
	return &services[len(services)-1]
}

// shows reports whether a list has the token.
func (s *Server) shows(r *row) bool {
	if !r.Expires.IsZero() && !s.now().Before(r.Expires) {
		return false
	}
	if r.Revoked.IsZero() {
		return true
	}
	r.visible--
	return r.visible >= 0
}

// pages cuts a list, and tells how many pages there are.
func (s *Server) cut(q *request, n int) (from, to, page, per, total int) {
	most := 100
	if s.quirks.PageMax > 0 {
		most = s.quirks.PageMax
	}
	number := func(key string, usual int) int {
		if v, err := strconv.Atoi(q.URL.Query().Get(key)); err == nil && v > 0 {
			return v
		}
		return usual
	}
	page, per = number("page", 1), min(number("per_page", most), most)
	total = max((n+per-1)/per, 1)
	from = min((page-1)*per, n)
	return from, min(from+per, n), page, per, total
}

func (s *Server) listAutomation(w http.ResponseWriter, q *request) {
	if q.bearer.Automation || q.bearer.person.Role != "superuser" {
		forbid(w)
		return
	}
	rows := []any{}
	for _, r := range s.rows {
		if r.Automation && s.shows(r) {
			rows = append(rows, s.rowAutomation(r))
		}
	}
	from, to, page, per, total := s.cut(q, len(rows))
	type meta struct {
		Per   int `json:"per_page"`
		Page  int `json:"current_page"`
		Count int `json:"record_count"`
		Total int `json:"total_pages"`
	}
	s.answer(w, http.StatusOK, struct {
		Rows []any `json:"data"`
		Meta meta  `json:"meta"`
	}{rows[from:to], meta{per, page, len(rows), total}}, newline)
}

func (s *Server) listUsers(w http.ResponseWriter, of *person) {
	rows := []any{}
	for _, r := range s.rows {
		if !r.Automation && (of == nil || r.person == of) && s.shows(r) {
			rows = append(rows, s.rowUser(r))
		}
	}
	s.answer(w, http.StatusOK, rows, status)
}

func (s *Server) listOwn(w http.ResponseWriter, q *request) { s.listUsers(w, q.bearer.person) }

func (s *Server) listAll(w http.ResponseWriter, q *request) {
	if q.bearer.person.Role != "superuser" || !strings.HasPrefix(strings.Trim(q.URL.Path, "/"), "customer/"+s.customer()+"/") {
		forbid(w)
		return
	}
	s.listUsers(w, nil)
}

func (s *Server) one(w http.ResponseWriter, q *request) {
	id := q.URL.Path[strings.LastIndex(q.URL.Path, "/")+1:]
	if q.bearer.Automation && q.bearer.ID != id {
		forbid(w)
		return
	}
	if r := s.byID(id); r != nil && r.Automation {
		s.answer(w, http.StatusOK, oneAutomation(r), newline)
		return
	}
	fail(w, http.StatusNotFound, "Record not found", "Cannot load the requested token")
}

func (s *Server) self(w http.ResponseWriter, q *request) {
	r := q.bearer
	if r.hidden > 0 {
		r.hidden--
		fail(w, http.StatusUnauthorized, "Provided credentials are missing or invalid", "")
		return
	}
	if s.quirks.PurgersMute && !strings.Contains(r.Scope, "global") {
		fail(w, http.StatusForbidden, "You are not authorized to perform this action", "")
		return
	}
	s.answer(w, http.StatusOK, s.rowUser(r), status)
}

func (s *Server) currentUser(w http.ResponseWriter, q *request) {
	if q.bearer.Automation || len(q.bearer.Services) > 0 {
		forbid(w)
		return
	}
	p := q.bearer.person
	var second *bool
	if p.OTP != nil {
		on := true
		second = &on
	}
	s.answer(w, http.StatusOK, struct {
		ID       string  `json:"id"`
		Created  string  `json:"created_at"`
		Updated  string  `json:"updated_at"`
		Name     string  `json:"name"`
		Customer string  `json:"customer_id"`
		Require  bool    `json:"require_new_password"`
		Role     string  `json:"role"`
		Login    string  `json:"login"`
		Deleted  *string `json:"deleted_at"`
		Locked   bool    `json:"locked"`
		Second   *bool   `json:"two_factor_auth_enabled"`
		Limited  bool    `json:"limit_services"`
		Active   string  `json:"last_active_at"`
	}{p.ID, stamp(p.Created), stamp(p.Updated), p.Name, s.customer(), false, p.Role, p.Login, nil, p.Locked, second, false, stamp(p.Active)}, status)
}

// listed is a service as a list has it; the order of its fields differs from one recorded answer to the next.
func (s *Server) listed(v Service) map[string]any {
	var deleted any
	if v.Deleted {
		deleted = stamp(v.Created)
	}
	return map[string]any{
		"id": v.ID, "name": v.Name, "type": v.Type, "comment": v.Comment, "customer_id": s.customer(), "created_at": stamp(v.Created),
		"updated_at": stamp(v.Created), "deleted_at": deleted, "versions": []any{map[string]any{
			"number": 1, "service_id": v.ID, "active": false, "comment": "", "created_at": stamp(v.Created), "updated_at": stamp(v.Created),
			"deleted_at": nil, "deployed": false, "locked": false, "staging": false, "testing": false,
		}},
	}
}

func (s *Server) visible(q *request) []Service {
	var out []Service
	for _, v := range s.services {
		if len(q.bearer.Services) == 0 {
			out = append(out, v)
			continue
		}
		for _, id := range q.bearer.Services {
			if id == v.ID {
				out = append(out, v)
			}
		}
	}
	return out
}

func (s *Server) listServices(w http.ResponseWriter, q *request) {
	rows := []any{}
	for _, v := range s.visible(q) {
		row := s.listed(v)
		row["version"], row["paused"] = 1, false
		rows = append(rows, row)
	}
	from, to, page, per, total := s.cut(q, len(rows))
	var links []string
	link := func(n int, rel string) {
		query := url.Values{}
		for k, v := range q.URL.Query() {
			query[k] = v
		}
		query.Set("page", strconv.Itoa(n))
		query.Set("per_page", strconv.Itoa(per))
		links = append(links, fmt.Sprintf(`<https://api.fastly.com/service?%s>; rel="%s"`, query.Encode(), rel))
	}
	if page < total {
		link(total, "last")
		link(page+1, "next")
	}
	if page > 1 {
		link(page-1, "prev")
		link(1, "first")
	}
	if len(links) > 0 {
		w.Header().Set("Link", strings.Join(links, ", "))
	}
	s.answer(w, http.StatusOK, rows[from:to], status)
}

func (s *Server) searchService(w http.ResponseWriter, q *request) {
	for _, v := range s.visible(q) {
		if v.Name == q.URL.Query().Get("name") && !v.Deleted {
			s.answer(w, http.StatusOK, s.listed(v), status)
			return
		}
	}
	fail(w, http.StatusBadRequest, "Bad request", "No service with this name")
}
