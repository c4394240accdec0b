package report

import (
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/remint-dev/remint/pkg/rotate"
)

// StatusMetrics returns a status as an OpenMetrics exposition, for a textfile collector or a Pushgateway. Its rules:
//
//   - Only gauges, no timestamps and no exemplars: the same text is valid in Prometheus' older text format, which is
//     what node_exporter's textfile collector and many Pushgateways read.
//   - Every family is there in every exposition that has something to say of it, in one order, and no series twice.
//   - Labels are names, identifiers and classes. A token of somebody else is counted, never named.
//   - What is not known is left out, not zero: an alert on an expiry must not fire because a service was away.
//
// The now is when the status was taken.
func StatusMetrics(all []Seen, now time.Time) string {
	m := metrics{seen: map[string]bool{}}
	m.family("remint_status_timestamp_seconds", "seconds", "When this was written. Alert if it is old: then nobody looks any more.")
	m.instant(now)
	m.each(all, "remint_up", "", "1 if the rotation could be surveyed: its provider listed, and what the sinks hold was asked.", func(s Seen) {
		m.sample(yes(s.Err == nil), labels(s)...)
	})
	m.each(all, "remint_person_needed", "", "1 if consumers hold a token that does not work, or a compromised token lives on.", func(s Seen) {
		m.sample(yes(s.exit() == Urgent), labels(s)...)
	})
	all = slices.DeleteFunc(slices.Clone(all), func(s Seen) bool { return s.Err != nil })
	m.each(all, "remint_rotation_due", "", "1 if the rotation is due.", func(s Seen) { m.sample(yes(s.Status.Due), labels(s)...) })
	m.each(all, "remint_rotation_due_timestamp_seconds", "seconds", "When the rotation is due, by the age and the end of what the sinks hold. Absent if that is not known.", func(s Seen) {
		m.instant(s.Status.Next, labels(s)...)
	})
	m.each(all, "remint_rotation_overdue_seconds", "seconds", "For how long the rotation has been due; 0 if it is not.", func(s Seen) {
		m.sample(strconv.FormatFloat(max(s.Status.Overdue.Seconds(), 0), 'f', -1, 64), labels(s)...)
	})
	m.each(all, "remint_rotation_held_up", "", "1 if something is to be done that the next run will not do, for a reason that does not pass by itself.", func(s Seen) {
		m.sample(yes(s.Status.Stop != "" && !s.Status.Waiting), labels(s)...)
	})
	m.each(all, "remint_tokens", "", "Live tokens at the provider by class. A token may be of several classes.", func(s Seen) {
		for _, c := range rotate.Classes() {
			n := 0
			for _, t := range s.Status.Tokens {
				if t.Is(c) {
					n++
				}
			}
			m.sample(strconv.Itoa(n), append(labels(s), "class", string(c))...)
		}
	})
	for _, f := range []struct {
		name, help string
		at         func(rotate.TokenStatus) time.Time
	}{
		{"remint_token_created_timestamp_seconds", "When a token of the rotation was minted.", func(t rotate.TokenStatus) time.Time { return t.Created }},
		{"remint_token_expires_timestamp_seconds", "When a token of the rotation expires. Absent if never, or if that is not known.", func(t rotate.TokenStatus) time.Time { return t.Expires }},
		{"remint_token_last_used_timestamp_seconds", "When a token of the rotation was last used. Absent if the provider does not say.", func(t rotate.TokenStatus) time.Time { return t.LastUsed }},
	} {
		m.each(all, f.name, "seconds", f.help, func(s Seen) {
			for _, t := range s.Status.Tokens {
				if !stranger(t) {
					m.instant(f.at(t), append(labels(s), "token", t.ID, "name", t.Name)...)
				}
			}
		})
	}
	m.sinks(all)
	return m.String() + "# EOF\n"
}

// sinks are the families about what the sinks hold.
func (m *metrics) sinks(all []Seen) {
	each := func(name, unit, help string, sample func(of []string, h rotate.SinkStatus)) {
		m.each(all, name, unit, help, func(s Seen) {
			for _, h := range s.Status.Sinks {
				sample(append(labels(s), "sink", h.Sink), h)
			}
		})
	}
	each("remint_sink_up", "", "1 if the sink could be asked what it holds.", func(of []string, h rotate.SinkStatus) { m.sample(yes(!h.Mute()), of...) })
	each("remint_sink_known", "", "1 if it is known which token the sink holds.", func(of []string, h rotate.SinkStatus) { m.sample(yes(h.Known()), of...) })
	each("remint_sink_works", "", "0 if the sink's consumers hold a token that does not work. Absent if that is not known.", func(of []string, h rotate.SinkStatus) {
		if h.Known() || h.State == stateUnclear {
			m.sample(yes(h.Works), of...)
		}
	})
	each("remint_sink_verified", "", "1 if what the sink holds was verified. Absent if the sink cannot say.", func(of []string, h rotate.SinkStatus) {
		if h.State == stateHolds && (h.Records || h.Verified) {
			m.sample(yes(h.Verified), of...)
		}
	})
	each("remint_sink_token_created_timestamp_seconds", "seconds", "When the token that the sink holds was minted.", func(of []string, h rotate.SinkStatus) {
		if h.State == stateHolds {
			m.instant(h.Token.Created, of...)
		}
	})
	each("remint_sink_token_expires_timestamp_seconds", "seconds", "When the token that the sink holds expires. Absent if never, or if that is not known.", func(of []string, h rotate.SinkStatus) {
		if h.State == stateHolds {
			m.instant(h.Token.Expires, of...)
		}
	})
}

// metrics writes families one after the other.
type metrics struct {
	strings.Builder
	head, name string // of the family that was begun
	seen       map[string]bool
}

// each writes a family with samples of every rotation. A family without a sample is left out.
func (m *metrics) each(all []Seen, name, unit, help string, sample func(Seen)) {
	m.family(name, unit, help)
	for _, s := range all {
		sample(s)
	}
}

func (m *metrics) family(name, unit, help string) {
	m.name = name
	m.head = "# TYPE " + name + " gauge\n" + also(unit != "", "# UNIT "+name+" "+unit+"\n") + "# HELP " + name + " " + help + "\n"
}

// sample writes one series: a value, and labels in pairs.
func (m *metrics) sample(value string, labels ...string) {
	series := m.name
	for i := 0; i+1 < len(labels); i += 2 {
		series += map[bool]string{true: "{", false: ","}[i == 0] + labels[i] + `="` + label(labels[i+1]) + `"`
	}
	series += also(len(labels) > 0, "}")
	if m.seen[series] { // what is the same after cleaning
		return
	}
	m.seen[series] = true
	m.WriteString(m.head + series + " " + value + "\n")
	m.head = ""
}

// instant writes a time in seconds, if it is known and no joke.
func (m *metrics) instant(at time.Time, labels ...string) {
	if at.Unix() > 0 && at.Year() <= 9999 {
		m.sample(strconv.FormatInt(at.Unix(), 10), labels...)
	}
}

func labels(s Seen) []string { return []string{"rotation", s.Status.Name} }

func yes(is bool) string {
	if is {
		return "1"
	}
	return "0"
}

// label escapes the value of a label. Both formats take any UTF-8.
func label(text string) string {
	if !utf8.ValidString(text) {
		text = strings.ToValidUTF8(text, "\uFFFD")
	}
	text = clean(text, longestLine)
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(text)
}
