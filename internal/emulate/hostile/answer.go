// Package hostile makes answers that no service should give and some have given: too large, endless, cut off, of the
// wrong type, of a proxy, with the secret in them, pointing elsewhere. [Try] gives each of them to an adapter, in place of
// every answer it waits for. The package serves tests only. Its rules:
//
//   - An answer is made from what the service itself answered where that matters, so that a decoder gets as far into it
//     as it can be led.
//   - The service has done its work or not, as the answer says: nobody can tell by it.
//   - What an adapter may do with such an answer is said in one place, by [Try].
package hostile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
)

// Elsewhere is the host that hostile answers point to. Nobody may ever ask it for anything.
const Elsewhere = "https://elsewhere.invalid"

// Answer is one hostile answer.
type Answer struct {
	Name string
	// Lost says that the service does not get the request.
	Lost bool
	// Every says that the answer makes sense only if all requests are answered so.
	Every bool
	// Plausible says that nobody can tell it from a true one: a call may believe it.
	Plausible bool
	// Due says that a change may be answered so: nobody can tell that it was not made.
	Due bool

	// answer makes the answer to r. good is what the service answered, whose body is body; nil if Lost. Nil: there is
	// nothing to change in this one.
	answer func(r *http.Request, good *http.Response, body []byte) *http.Response
}

// Large is the size in bytes of a large answer.
const Large = 10 << 20

// Answers returns all of them.
func Answers() []Answer {
	all := []Answer{
		{Name: "endless body", Lost: true, answer: func(r *http.Request, _ *http.Response, _ []byte) *http.Response {
			return with(r, 200, "application/json", endless('['))
		}},
		{Name: "10 MB in one string", answer: func(r *http.Request, good *http.Response, _ []byte) *http.Response {
			return with(r, good.StatusCode, "application/json", io.MultiReader(strings.NewReader(`{"message":"`), io.LimitReader(endless('x'), Large), strings.NewReader(`"}`)))
		}},
		{Name: "10 MB beside what is due", answer: changed(func(body []byte) []byte {
			if !bytes.HasPrefix(body, []byte("{")) {
				return nil
			}
			return slices.Concat([]byte(`{"padding":"`), bytes.Repeat([]byte("x"), Large-len(body)-100), []byte(`",`), body[1:])
		})},
		{Name: "wrong content type", answer: func(r *http.Request, good *http.Response, body []byte) *http.Response {
			return with(r, good.StatusCode, "text/html; charset=utf-16", bytes.NewReader(body))
		}},
		{Name: "truncated", answer: changed(func(body []byte) []byte { return body[:len(body)/2] })},
		{Name: "truncated at its end", answer: changed(func(body []byte) []byte { return body[:max(len(bytes.TrimSpace(body))-1, 0)] })},
		{Name: "connection breaks in the body", answer: func(r *http.Request, good *http.Response, body []byte) *http.Response {
			return with(r, good.StatusCode, "application/json", io.MultiReader(bytes.NewReader(body[:len(body)/2]), broken{}))
		}},
		{Name: "deep arrays", Lost: true, answer: says(200, "application/json", strings.Repeat("[", 1_000_000))},
		{Name: "deep objects", Lost: true, answer: says(200, "application/json", strings.Repeat(`{"data":`, 200_000))},
		{Name: "NUL", Lost: true, answer: says(200, "application/json", "\x00\x00\x00\x00")},
		{Name: "NUL in every text", answer: texts(func(s string) string { return "\x00" + s + "\x00\x1b[2J" })},
		{Name: "line breaks and commands in every text", answer: texts(func(s string) string { return s + "\r\n::set-env name=PATH::/evil\n##[error]x" })},
		{Name: "invalid UTF-8", answer: changed(func(body []byte) []byte {
			return bytes.ReplaceAll(body, []byte(`":"`), []byte("\":\"\xff\xfe"))
		})},
		{Name: "byte order mark", answer: changed(func(body []byte) []byte { return append([]byte("\xef\xbb\xbf"), body...) })},
		{Name: "two documents", answer: changed(func(body []byte) []byte { return slices.Concat(body, []byte("\n"), body) })},
		{Name: "numbers as texts, texts as numbers", answer: tree(swap)},
		{Name: "null everywhere", answer: tree(func(any) any { return nil })},
		{Name: "every list empty", Plausible: true, answer: tree(func(v any) any {
			if _, ok := v.([]any); ok {
				return []any{}
			}
			return v
		})},
		{Name: "lists of null", answer: tree(func(v any) any {
			if _, ok := v.([]any); ok {
				return []any{nil, nil}
			}
			return v
		})},
		{Name: "negative numbers", answer: tree(func(v any) any {
			if _, ok := v.(json.Number); ok {
				return json.Number("-1")
			}
			return v
		})},
		{Name: "HTML with 200", Lost: true, answer: says(200, "text/html", page)},
		{Name: "HTML with 403", Lost: true, answer: says(403, "text/html", page)},
		{Name: "HTML with 502", Lost: true, answer: says(502, "text/html", page)},
		{Name: "an error with 200", Lost: true, answer: says(200, "application/json", `{"message":"the service failed","error":"internal","errors":[{"message":"the service failed"}]}`)},
		{Name: "an error with 201", Lost: true, Due: true, answer: says(201, "application/json", `{"message":"the service failed","status":"500"}`)},
		{Name: "204 without body", Lost: true, Due: true, answer: says(204, "", "")},
		{Name: "200 without body", Lost: true, answer: says(200, "application/json", "")},
		{Name: "202", Lost: true, answer: says(202, "application/json", "{}")},
		{Name: "299", answer: func(r *http.Request, _ *http.Response, body []byte) *http.Response {
			return with(r, 299, "application/json", bytes.NewReader(body))
		}},
		{Name: "304", Lost: true, answer: says(304, "", "")},
		{Name: "600", Lost: true, answer: says(600, "text/plain", "what")},
		{Name: "null", Lost: true, answer: says(200, "application/json", "null")},
		{Name: "list in place of an object", Lost: true, answer: says(200, "application/json", "[]")},
		{Name: "text in place of an object", Lost: true, answer: says(200, "application/json", `"ok"`)},
		{Name: "URLs that point elsewhere", answer: elsewhere},
		{Name: "pages without end", Every: true, answer: more()},
		{Name: "100,000 entries", answer: tree(func(v any) any { return long(v, 100_000) })},
		{Name: "limit for ever", Every: true, Lost: true, answer: limit("1000000000000000000000")},
		{Name: "limit of a day", Lost: true, answer: limit("86400")},
		{Name: "limit with a date of yore", Lost: true, answer: limit("Thu, 01 Jan 1970 00:00:00 GMT")},
	}
	for _, status := range []int{301, 302, 303, 307, 308} {
		all = append(all, Answer{Name: fmt.Sprint("redirect with ", status), Lost: true, answer: func(r *http.Request, _ *http.Response, _ []byte) *http.Response {
			resp := with(r, status, "text/html", strings.NewReader(""))
			resp.Header.Set("Location", Elsewhere+r.URL.Path+"?"+r.URL.RawQuery)
			return resp
		}})
	}
	for _, status := range []int{200, 400, 401, 403, 404, 409, 422, 500} {
		all = append(all, Answer{Name: fmt.Sprint("the request itself with ", status), Lost: true, answer: echo(status)})
	}
	return all
}

const page = `<!DOCTYPE html><html><head><title>Sign in to continue</title></head><body onload="steal()"><h1>Bad gateway</h1></body></html>`

// with is an answer to r.
func with(r *http.Request, status int, kind string, body io.Reader) *http.Response {
	resp := &http.Response{Status: fmt.Sprintf("%d %s", status, http.StatusText(status)), StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{}, Body: io.NopCloser(body), ContentLength: -1, Request: r}
	if kind != "" {
		resp.Header.Set("Content-Type", kind)
	}
	return resp
}

func says(status int, kind, text string) func(*http.Request, *http.Response, []byte) *http.Response {
	return func(r *http.Request, _ *http.Response, _ []byte) *http.Response {
		return with(r, status, kind, strings.NewReader(text))
	}
}

// changed keeps everything but the body. An answer without one is left alone.
func changed(f func([]byte) []byte) func(*http.Request, *http.Response, []byte) *http.Response {
	return func(r *http.Request, good *http.Response, body []byte) *http.Response {
		if len(body) == 0 {
			return nil
		}
		b := f(slices.Clone(body))
		if b == nil {
			return nil
		}
		resp := with(r, good.StatusCode, "", bytes.NewReader(b))
		resp.Header = good.Header.Clone()
		resp.Header.Del("Content-Length")
		return resp
	}
}

// tree changes every value of a JSON document, from the inside out.
func tree(f func(any) any) func(*http.Request, *http.Response, []byte) *http.Response {
	var walk func(v any) any
	walk = func(v any) any {
		switch x := v.(type) {
		case map[string]any:
			for k := range x {
				x[k] = walk(x[k])
			}
		case []any:
			for i := range x {
				x[i] = walk(x[i])
			}
		}
		if _, ok := v.(map[string]any); ok {
			return v
		}
		return f(v)
	}
	return changed(func(body []byte) []byte {
		d := json.NewDecoder(bytes.NewReader(body))
		d.UseNumber()
		var v any
		if d.Decode(&v) != nil {
			return nil
		}
		b, err := json.Marshal(walk(v))
		if err != nil {
			return nil
		}
		return b
	})
}

func texts(f func(string) string) func(*http.Request, *http.Response, []byte) *http.Response {
	return tree(func(v any) any {
		if s, ok := v.(string); ok {
			return f(s)
		}
		return v
	})
}

func swap(v any) any {
	switch x := v.(type) {
	case json.Number:
		return x.String()
	case string:
		return len(x)
	case bool:
		return []any{x}
	}
	return v
}

// long repeats the entries of a list, each with an id of its own if that is a text, up to what no client reads any more.
func long(v any, n int) any {
	list, ok := v.([]any)
	if !ok || len(list) == 0 || len(list) > 1000 {
		return v
	}
	out := []byte{'['}
	for i := 0; i < n && len(out) < Large+1<<20; i++ {
		if m, ok := list[i%len(list)].(map[string]any); ok && i >= len(list) {
			if _, text := m["id"].(string); text {
				m["id"] = "id-" + strconv.Itoa(i)
			}
		}
		b, err := json.Marshal(list[i%len(list)])
		if err != nil {
			return v
		}
		out = append(append(out, b...), ',')
	}
	out[len(out)-1] = ']'
	return json.RawMessage(out)
}

// elsewhere makes every URL in an answer, headers included, lead to another host, and adds those that clients like to follow.
func elsewhere(r *http.Request, good *http.Response, body []byte) *http.Response {
	at := Elsewhere + r.URL.Path
	resp := texts(func(s string) string {
		if strings.HasPrefix(s, "http://") || strings.HasPrefix(s, "https://") {
			return at
		}
		return s
	})(r, good, body)
	if resp == nil {
		resp = with(r, good.StatusCode, "", bytes.NewReader(body))
		resp.Header = good.Header.Clone()
	} else if b, err := io.ReadAll(resp.Body); err == nil {
		if bytes.HasPrefix(b, []byte(`{"`)) {
			for _, name := range []string{"html_url", "url", "run_url", "next", "nextLink", "@odata.nextLink"} {
				if !bytes.Contains(b, []byte(`"`+name+`"`)) {
					b = slices.Concat([]byte(`{"`+name+`":"`+at+`",`), b[1:])
				}
			}
		}
		resp.Body = io.NopCloser(bytes.NewReader(b))
	}
	resp.Header.Set("Link", "<"+at+`?page=2>; rel="next", <`+at+`?page=9>; rel="last"`)
	resp.Header.Set("Location", at)
	resp.Header.Set("Refresh", "0; url="+at)
	return resp
}

// more makes every list go on: by GitHub's and Gitea's headers, and by the fields of GraphQL and AWS.
func more() func(*http.Request, *http.Response, []byte) *http.Response {
	var pages atomic.Int64
	return func(r *http.Request, good *http.Response, body []byte) *http.Response {
		n := int(pages.Add(1)) + 1
		next := fmt.Sprint("cursor-", n)
		var walk func(v any)
		walk = func(v any) {
			switch x := v.(type) {
			case map[string]any:
				for k, y := range x {
					switch k {
					case "hasNextPage":
						x[k], x["endCursor"] = true, next
					case "total_count", "totalCount":
						x[k] = 1_000_000_000
					default:
						walk(y)
					}
				}
			case []any:
				for _, y := range x {
					walk(y)
				}
			}
		}
		resp := changed(func(body []byte) []byte {
			var v any
			if json.Unmarshal(body, &v) != nil {
				return nil
			}
			walk(v)
			if m, ok := v.(map[string]any); ok {
				m["NextToken"] = next
			}
			b, _ := json.Marshal(v)
			return b
		})(r, good, body)
		if resp == nil {
			return nil
		}
		u := *r.URL
		q := u.Query()
		q.Set("page", strconv.Itoa(n))
		u.RawQuery = q.Encode()
		resp.Header.Set("Link", "<"+u.String()+`>; rel="next"`)
		resp.Header.Set("X-Total-Count", "1000000000")
		return resp
	}
}

func limit(after string) func(*http.Request, *http.Response, []byte) *http.Response {
	return func(r *http.Request, _ *http.Response, _ []byte) *http.Response {
		resp := with(r, 429, "application/json", strings.NewReader(`{"message":"too many"}`))
		resp.Header.Set("Retry-After", after)
		return resp
	}
}

// echo repeats all of a request in every field from which a client may take a message.
func echo(status int) func(*http.Request, *http.Response, []byte) *http.Response {
	return func(r *http.Request, _ *http.Response, _ []byte) *http.Response {
		sent := ""
		if r.GetBody != nil {
			if b, err := r.GetBody(); err == nil {
				text, _ := io.ReadAll(b)
				sent = string(text)
			}
		}
		for k, all := range r.Header {
			sent += "\n" + k + ": " + strings.Join(all, ", ")
		}
		b, _ := json.Marshal(map[string]any{"message": sent, "Message": sent, "__type": sent, "error": sent, "url": sent,
			"errors": []any{map[string]any{"message": sent, "code": sent, "field": sent, "resource": sent}}})
		return with(r, status, "application/json", bytes.NewReader(b))
	}
}

// endless is a body without end.
type endless byte

func (e endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(e)
	}
	return len(p), nil
}

// broken is a connection that breaks.
type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
