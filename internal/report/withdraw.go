package report

import (
	"errors"
	"io"
	"strings"
	"time"

	"github.com/remint-dev/remint/pkg/rotate"
)

// Withdrawn is what came of a person's wish to revoke one token.
type Withdrawn struct {
	rotate.Withdrawal
	Err error
	Dry bool      // nothing was to be changed
	At  time.Time // when it was asked for
}

// Exit returns the exit status: [Fine] if it was revoked, or would be, and nobody is harmed; [Unwell] if it was not;
// [Urgent] if consumers hold a token that does not work now.
func (w Withdrawn) Exit() int {
	switch {
	case (w.Revoked || w.Err != nil && !w.refused()) && !w.Dry && len(w.Objections) > 0:
		return Urgent
	case w.Err != nil:
		return Unwell
	}
	return Fine
}

// refused reports whether the revocation was never sent.
func (w Withdrawn) refused() bool { return !w.Revoked && !w.sent() }

// sent reports whether a revocation that failed may have taken effect.
func (w Withdrawn) sent() bool {
	return w.Err != nil && (errors.Is(w.Err, rotate.ErrTemporary) || errors.Is(w.Err, rotate.ErrUnproven)) && w.Token.ID != ""
}

func (w Withdrawn) headline() (mark, text string) {
	switch {
	case w.Revoked && len(w.Objections) > 0:
		return markUrgent, "revoked, although consumers are harmed: a person is needed now"
	case w.Revoked:
		return markDone, "revoked"
	case w.Dry && w.Err == nil && len(w.Objections) > 0:
		return markUrgent, "would be revoked, although consumers are harmed"
	case w.Dry && w.Err == nil:
		return markNext, "would be revoked; no sink holds it"
	case w.Dry && len(w.Objections) > 0:
		return markWrong, "would not be revoked"
	case w.Exit() == Urgent:
		return markUrgent, "whether it was revoked is not known, and consumers hold it: a person is needed now"
	case w.sent():
		return markWrong, "whether it was revoked is not known"
	}
	return markWrong, "not revoked; nothing was changed"
}

// Withdraw writes what came of it.
func Withdraw(out io.Writer, w Withdrawn) error {
	t := page{}
	mark, text := w.headline()
	subject := token(w.Token.Token)
	t.title(mark, subject, text)
	if w.Token.ID != "" {
		now := w.At
		t.list("the token", columns([]row{
			{cells: []string{"id", short(w.Token.ID)}}, {cells: []string{"at", name(w.Provider)}}, {cells: []string{"rotation", name(w.Name)}},
			{cells: []string{"what", classed(w.Token)}}, {cells: []string{"born (UTC)", born(w.Token.Token)}}, {cells: []string{"expires", lives(w.Token.Token, now)}},
			{cells: []string{"last used", used(w.Token.Token, now)}},
		}))
	}
	if len(w.Objections) > 0 {
		t.list(map[bool]string{true: "what speaks against it", false: "why not"}[w.Revoked || w.Err == nil], bullets(prose(w.Objections...)))
	} else {
		t.list("why not", bullets(troubles(w.Err)))
	}
	if len(w.Objections) > 0 && w.Err != nil && w.sent() {
		t.list("what went wrong", troubles(w.Err))
	}
	if len(w.Breaks) > 0 {
		var all []string
		for _, s := range w.Breaks {
			all = append(all, "consumers of "+name(s))
		}
		t.list(map[bool]string{true: "what breaks now", false: "what would break"}[w.Revoked], bullets(all))
	}
	t.list("what to do", bullets(w.advice()))
	t.list("warnings", bullets(prose(w.Warnings...)))
	return t.to(out)
}

// advice is what a person does next.
func (w Withdrawn) advice() []string {
	only := " --only " + quoted(name(w.Name))
	switch {
	case w.Exit() == Urgent:
		return []string{"run at once: remint run" + only + " --force --alone; it mints a successor and writes it to every sink"}
	case len(w.Objections) == 0 || w.Revoked || w.Token.ID == "":
		return nil
	}
	return []string{
		"without harm to consumers: remint run" + only + " --compromised now replaces the tokens of the rotation and revokes them as soon as a sink holds the successor",
		"if it must die this instant: add --even-if-held, then run that at once",
	}
}

// quoted is a text as a shell takes it for one word.
func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// WithdrawnJSON returns the same for programs.
func WithdrawnJSON(w Withdrawn) ([]byte, error) {
	out := struct {
		Status     int             `json:"status"` // the exit status
		Rotation   string          `json:"rotation"`
		Provider   string          `json:"provider"`
		Token      tokenStatusJSON `json:"token"`
		Revoked    bool            `json:"revoked"`
		DryRun     bool            `json:"dryRun,omitempty"`
		Objections []string        `json:"objections,omitempty"`
		Breaks     []string        `json:"breaks,omitempty"` // sinks whose consumers hold it
		Warnings   []string        `json:"warnings,omitempty"`
		Error      string          `json:"error,omitempty"`
	}{w.Exit(), clean(w.Name, longestName), clean(w.Provider, longestName), tokenStatusOf(w.Token), w.Revoked, w.Dry,
		cleaned(w.Objections, longestLine), cleaned(w.Breaks, longestName), cleaned(w.Warnings, longestLine), ""}
	if w.Err != nil {
		out.Error = clean(w.Err.Error(), longestLine)
	}
	return encode(out)
}
