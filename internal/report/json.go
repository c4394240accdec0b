package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"time"

	"github.com/remint-dev/remint/pkg/rotate"
)

// mostJSON is the size in bytes that JSON stays under: a runner reads lines of 64 KiB, and job outputs are
// handed on in environment variables.
const mostJSON = 32 << 10

// The form of the output. Field names are a promise to workflows; times are RFC 3339, durations milliseconds.
type (
	rotationsJSON struct {
		Rotations []rotationJSON `json:"rotations"`
		LeftOut   int            `json:"leftOut,omitempty"` // rotations that did not fit
	}
	rotationJSON struct {
		Name         string      `json:"name"`
		Outcome      string      `json:"outcome"`
		Status       int         `json:"status"`       // 0 fine, 1 failed or held with consumers unharmed, 3 a person is needed
		PersonNeeded bool        `json:"personNeeded"` // consumers may hold something that does not work, or a compromised token lives on
		Due          bool        `json:"due"`
		Overdue      bool        `json:"overdue,omitempty"`
		Next         time.Time   `json:"next,omitzero"`
		Error        string      `json:"error,omitempty"`
		Left         []string    `json:"left,omitempty"`
		HandIn       []string    `json:"handIn,omitempty"`
		Newborn      *tokenJSON  `json:"newborn,omitempty"`
		Sinks        []sinkJSON  `json:"sinks,omitempty"`
		Revoked      []tokenJSON `json:"revoked,omitempty"`
		Kept         []keptJSON  `json:"kept,omitempty"`
		Reasons      []string    `json:"reasons,omitempty"`
		Warnings     []string    `json:"warnings,omitempty"`
		Steps        []stepJSON  `json:"steps,omitempty"`
		Live         []tokenJSON `json:"live,omitempty"`
		Begun        time.Time   `json:"begun,omitzero"`
		Took         int64       `json:"tookMilliseconds"`
		Shortened    bool        `json:"shortened,omitempty"` // something was left out so that the whole stays small
	}
	tokenJSON struct {
		ID      string    `json:"id,omitempty"`
		Name    string    `json:"name,omitempty"`
		Created time.Time `json:"created,omitzero"`
		Expires time.Time `json:"expires,omitzero"`
	}
	sinkJSON struct {
		Sink     string     `json:"sink"`
		State    string     `json:"state"`
		Token    *tokenJSON `json:"token,omitempty"`
		Verified bool       `json:"verified"`
	}
	keptJSON struct {
		Token tokenJSON `json:"token"`
		Why   string    `json:"why"`
	}
	stepJSON struct {
		Do     string `json:"do"`
		At     string `json:"at"`
		What   string `json:"what,omitempty"`
		Result string `json:"result"`
		Took   int64  `json:"tookMilliseconds"`
		Error  string `json:"error,omitempty"`
	}
)

// JSON returns the results on one line, for the action's output and for programs. It stays under 32 KiB: if there is
// more, steps go first, then lists, then texts are cut, and at last rotations are left out and counted, those that are
// fine before those that are not.
func JSON(results []Entry) ([]byte, error) {
	for level := range levels {
		out := rotationsJSON{Rotations: make([]rotationJSON, 0, len(results))}
		for _, e := range results {
			out.Rotations = append(out.Rotations, e.json(level))
		}
		b, err := encode(out)
		if err != nil || len(b) < mostJSON {
			return b, err
		}
	}
	return few(results)
}

// How much is left out.
const (
	whole    = iota
	noSteps  // of rotations that are fine
	noDetail // no steps, no lists but of sinks, texts short
	bare     // name and outcome
	levels
)

// few returns as many rotations as fit.
func few(results []Entry) ([]byte, error) {
	keep, size := make([]bool, len(results)), len(`{"rotations":[],"leftOut":1000000000}`)
	for _, status := range []int{Urgent, Unwell, Fine} {
		for i, e := range results {
			if e.status() != status {
				continue
			}
			b, err := encode(e.json(bare))
			if err != nil {
				return nil, err
			}
			if size+len(b)+1 < mostJSON {
				size += len(b) + 1
				keep[i] = true
			}
		}
	}
	out := rotationsJSON{Rotations: []rotationJSON{}}
	for i, e := range results {
		if keep[i] {
			out.Rotations = append(out.Rotations, e.json(bare))
		} else {
			out.LeftOut++
		}
	}
	b, err := encode(out)
	if err == nil && len(b) >= mostJSON {
		err = errors.New("the results do not fit into an output")
	}
	return b, err
}

func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

func (e Entry) json(level int) rotationJSON {
	res := e.Result
	limit := longestLine
	if level >= noDetail {
		limit = 160
	}
	out := rotationJSON{
		Name: clean(res.Name, longestName), Outcome: string(res.Outcome), Status: e.status(), PersonNeeded: e.urgent(), Due: res.Due, Overdue: res.Overdue,
		Next: stamp(res.Next), Begun: stamp(res.Begun), Took: max(0, res.Ended.Sub(res.Begun).Milliseconds()), Shortened: level > whole,
	}
	if level == bare {
		return out
	}
	if e.Err != nil {
		out.Error = clean(e.Err.Error(), 3*limit)
	}
	out.Left = cleaned(res.Left, limit)
	out.HandIn = cleaned(res.HandIn, limit)
	if t := tokenOf(res.Newborn); t != (tokenJSON{}) {
		out.Newborn = &t
	}
	for _, h := range first(res.Sinks) {
		s := sinkJSON{Sink: clean(h.Sink, longestName), State: h.State, Verified: h.Verified}
		if t := tokenOf(h.Token); t != (tokenJSON{}) {
			s.Token = &t
		}
		out.Sinks = append(out.Sinks, s)
	}
	if level >= noDetail {
		return out
	}
	out.Revoked, out.Live = tokensOf(res.Revoked), tokensOf(res.Live)
	for _, k := range first(res.Kept) {
		out.Kept = append(out.Kept, keptJSON{tokenOf(k.Token), clean(k.Why, limit)})
	}
	out.Reasons, out.Warnings = cleaned(res.Reasons, limit), cleaned(res.Warnings, limit)
	if level >= noSteps && e.status() == Fine {
		return out
	}
	for _, s := range res.Steps {
		step := stepJSON{Do: string(s.Do), At: clean(s.At, longestName), What: about(s.Step), Result: s.Result, Took: s.Took.Milliseconds()}
		if s.Result != rotate.Done {
			step.Error = s.Error
			if step.Error == "" && s.Err != nil {
				step.Error = s.Err.Error()
			}
			step.Error = clean(step.Error, limit)
		}
		out.Steps = append(out.Steps, step)
	}
	return out
}

// first returns no more of a list than anybody reads.
func first[T any](all []T) []T { return all[:min(len(all), mostLines)] }

func cleaned(texts []string, limit int) []string {
	var all []string
	for _, text := range first(texts) {
		all = append(all, clean(text, limit))
	}
	return all
}

func tokensOf(all []rotate.Token) []tokenJSON {
	var out []tokenJSON
	for _, t := range first(all) {
		out = append(out, tokenOf(t))
	}
	return out
}

func tokenOf(t rotate.Token) tokenJSON {
	return tokenJSON{ID: clean(t.ID, longestName), Name: clean(t.Name, longestName), Created: stamp(t.Created), Expires: stamp(t.Expires)}
}

// stamp makes a time fit for JSON, which has no year beyond 9999.
func stamp(t time.Time) time.Time {
	if t = t.UTC(); t.Year() < 1 || t.Year() > 9999 {
		return time.Time{}
	}
	return t.Truncate(time.Second)
}
