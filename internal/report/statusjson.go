package report

import (
	"time"

	"github.com/remint-dev/remint/pkg/rotate"
)

// The form of a status in JSON. Field names are a promise; times are RFC 3339 in UTC and left out if not known, durations
// are seconds.
type (
	statusesJSON struct {
		Status    int          `json:"status"` // the exit status: 0, 1 or 3
		Rotations []statusJSON `json:"rotations"`
		LeftOut   int          `json:"leftOut,omitempty"` // rotations that did not fit into an output
	}
	statusJSON struct {
		Name      string            `json:"name"`
		Provider  string            `json:"provider,omitempty"`
		Status    int               `json:"status"`          // 0 in order, 1 not fully seen, 3 a person is needed
		At        time.Time         `json:"at,omitzero"`     // when it was seen
		Error     string            `json:"error,omitempty"` // nothing else is known then
		Alarms    []string          `json:"alarms,omitempty"`
		Due       bool              `json:"due"`
		Reasons   []string          `json:"reasons,omitempty"`
		Next      time.Time         `json:"next,omitzero"`
		Why       string            `json:"why,omitempty"`
		Overdue   int64             `json:"overdueSeconds,omitempty"`
		Stop      string            `json:"stop,omitempty"`    // why the next run does nothing although something is to be done
		Waiting   bool              `json:"waiting,omitempty"` // stop passes by itself
		Sinks     []sinkStatusJSON  `json:"sinks"`
		Tokens    []tokenStatusJSON `json:"tokens"`
		Foreign   int               `json:"foreign"`         // tokens of others that no sink holds; not in tokens
		Steps     []planStepJSON    `json:"steps,omitempty"` // what the next run would do
		HandIn    []string          `json:"handIn,omitempty"`
		Warnings  []string          `json:"warnings,omitempty"`
		Emergency time.Time         `json:"compromised,omitzero"` // tokens born before it are not trusted
		Shortened bool              `json:"shortened,omitempty"`  // something was left out
	}
	sinkStatusJSON struct {
		Sink     string     `json:"sink"`
		State    string     `json:"state"` // holds, nothing known, dead, unclear, could not be asked
		Token    *tokenJSON `json:"token,omitempty"`
		Works    bool       `json:"works"`              // false: consumers hold a token that does not work
		Verified *bool      `json:"verified,omitempty"` // left out: the sink cannot say
		Foreign  bool       `json:"foreign,omitempty"`
		Error    string     `json:"error,omitempty"`
	}
	tokenStatusJSON struct {
		tokenJSON
		LastUsed time.Time `json:"lastUsed,omitzero"`
		Classes  []string  `json:"classes"`
		Sinks    []string  `json:"sinks,omitempty"`
		Fate     string    `json:"fate,omitempty"`
		Until    time.Time `json:"revokedAfter,omitzero"`
	}
	planStepJSON struct {
		Do   string `json:"do"`
		At   string `json:"at"`
		What string `json:"what,omitempty"`
	}
)

// StatusJSON returns a status for programs. If small is set it stays under 32 KiB, for the action's output: first what
// lives and what is planned is left out, then whole rotations, those that are fine before those that are not.
func StatusJSON(all []Seen, small bool) ([]byte, error) {
	for _, shorten := range []bool{false, true} {
		out := statusesJSON{Status: StatusExit(all), Rotations: []statusJSON{}}
		for _, s := range all {
			out.Rotations = append(out.Rotations, s.json(shorten))
		}
		b, err := encode(out)
		if err != nil || !small || len(b) < mostJSON {
			return b, err
		}
	}
	keep, size := make([]bool, len(all)), 100
	for _, status := range []int{Urgent, Unwell, Fine} {
		for i, s := range all {
			b, err := encode(s.json(true))
			if err != nil {
				return nil, err
			}
			if s.exit() == status && size+len(b)+1 < mostJSON {
				size += len(b) + 1
				keep[i] = true
			}
		}
	}
	out := statusesJSON{Status: StatusExit(all), Rotations: []statusJSON{}}
	for i, s := range all {
		if keep[i] {
			out.Rotations = append(out.Rotations, s.json(true))
		} else {
			out.LeftOut++
		}
	}
	return encode(out)
}

func (s Seen) json(short bool) statusJSON {
	st := s.Status
	out := statusJSON{Name: clean(st.Name, longestName), Provider: clean(st.Provider, longestName), Status: s.exit(), At: stamp(st.At), Due: st.Due,
		Next: stamp(st.Next), Why: clean(st.Why, longestLine), Overdue: int64(st.Overdue.Seconds()), Stop: clean(st.Stop, longestLine), Waiting: st.Waiting,
		Sinks: []sinkStatusJSON{}, Tokens: []tokenStatusJSON{}, Emergency: stamp(st.Emergency), Shortened: short}
	if s.Err != nil {
		out.Error = clean(s.Err.Error(), longestLine)
	}
	out.Alarms, out.Reasons, out.HandIn, out.Warnings = cleaned(st.Alarms, longestLine), cleaned(st.Reasons, longestLine), cleaned(st.HandIn, longestLine), cleaned(st.Warnings, longestLine)
	for _, h := range st.Sinks {
		out.Sinks = append(out.Sinks, sinkStatusOf(h))
	}
	for _, t := range st.Tokens {
		switch {
		case stranger(t):
			out.Foreign++
		case !short:
			out.Tokens = append(out.Tokens, tokenStatusOf(t))
		}
	}
	if short {
		out.Sinks, out.Why = first(out.Sinks), ""
		out.Reasons, out.Warnings, out.HandIn = nil, nil, nil
		return out
	}
	for _, p := range st.Steps {
		out.Steps = append(out.Steps, planStepJSON{string(p.Do), clean(p.At, longestName), about(p)})
	}
	return out
}

func sinkStatusOf(h rotate.SinkStatus) sinkStatusJSON {
	s := sinkStatusJSON{Sink: clean(h.Sink, longestName), State: h.State, Works: h.Works, Foreign: h.Foreign}
	if t := tokenOf(h.Token); t != (tokenJSON{}) {
		s.Token = &t
	}
	if h.Records || h.Verified {
		s.Verified = &h.Verified
	}
	if h.Err != nil {
		s.Error = clean(h.Err.Error(), longestLine)
	}
	return s
}

func tokenStatusOf(t rotate.TokenStatus) tokenStatusJSON {
	out := tokenStatusJSON{tokenJSON: tokenOf(t.Token), LastUsed: stamp(t.LastUsed), Classes: []string{}, Fate: clean(t.Fate, longestLine), Until: stamp(t.Until)}
	for _, c := range t.Classes {
		out.Classes = append(out.Classes, string(c))
	}
	for _, s := range t.Sinks {
		out.Sinks = append(out.Sinks, clean(s, longestName))
	}
	return out
}
