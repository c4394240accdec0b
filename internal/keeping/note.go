package keeping

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/remint-dev/remint/pkg/rotate"
)

// This file is about the note. It is the mark of the value, as every sink writes it, with the mark of the former value and a
// check of both, so that a change by hand is noticed: 32 bits of SHA-256 over the place and the value. That is too short to
// learn a value from, even where a note is shown to more people than a value is.

// ByHand is the ID of a value that the note does not know.
const ByHand = "by-hand"

// IsByHand reports whether a token is such a value.
func IsByHand(t rotate.Token) bool { return t.ID == ByHand || t.ID == ByHand+"-2" }

type noteText struct {
	Value       string          `json:"value"`                 // check of the value
	Former      json.RawMessage `json:"former,omitempty"`      // mark of the former value
	FormerValue string          `json:"formerValue,omitempty"` // check of it
}

func (k *Sink) check(value string) string {
	h := sha256.New()
	for _, part := range []string{k.Store.Place(), value} {
		sum := sha256.Sum256([]byte(part))
		h.Write(sum[:])
	}
	return hex.EncodeToString(h.Sum(nil)[:4])
}

// note is the note of a state.
func (k *Sink) note(s State, current, former rotate.Mark) string {
	n := noteText{Value: k.check(s.Value)}
	if former.Token.ID != "" && s.Former != s.Value {
		n.Former, n.FormerValue = json.RawMessage(former.String()), k.check(s.Former)
	}
	with, err := json.Marshal(n)
	if err != nil { // a mark is valid JSON
		panic(err)
	}
	return strings.TrimSuffix(current.String(), "}") + "," + strings.TrimPrefix(string(with), "{")
}

// NoteKey names the note's key after that of the former value, in a place that has nothing but keys.
func NoteKey(previous string) string { return previous + "_remint" }

// Tokens are those that a note names, as far as it is one; it is not held against the values.
func Tokens(note string) (current, former rotate.Token) {
	var n noteText
	m, err := rotate.ParseMark(note)
	if err != nil || json.Unmarshal([]byte(note), &n) != nil {
		return current, former
	}
	f, _ := rotate.ParseMark(string(n.Former))
	return m.Token, f.Token
}

// read says which tokens a state has.
func (k *Sink) read(s State) (current, former rotate.Mark, err error) {
	var n noteText
	var noted rotate.Mark
	if s.Note != "" {
		if noted, err = rotate.ParseMark(s.Note); err == nil {
			err = json.Unmarshal([]byte(s.Note), &n)
		}
		if err == nil && len(n.Former) > 0 {
			former, err = rotate.ParseMark(string(n.Former))
		}
		if err != nil {
			return rotate.Mark{}, rotate.Mark{}, fmt.Errorf("%w: its note is not one of remint; remove it if nothing else needs it", rotate.ErrConflict)
		}
	}
	nothing := s.Former == "" || s.Former == s.Value
	mine := former.Token.ID != "" && n.FormerValue == k.check(s.Former)
	switch {
	case s.Value == "":
	case s.Note != "" && n.Value == k.check(s.Value):
		current = noted
	case mine && nothing: // a person put the former value back
		return former, rotate.Mark{}, nil
	default:
		current.Token.ID = ByHand
		if former.Token.ID == ByHand && !nothing {
			current.Token.ID = ByHand + "-2"
		}
	}
	switch {
	case nothing:
		former = rotate.Mark{}
	case !mine:
		err = ErrForeign
	}
	return current, former, err
}
