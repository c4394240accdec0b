package protocol

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/remint-dev/remint/pkg/cluster"
	"github.com/remint-dev/remint/pkg/rotate"
)

// This file reads answers. Its rule: no error repeats anything of the answer, since where a secret stands in rubbish nobody
// can tell.

const (
	// MaxAnswer is how many bytes a program may print on standard output, and as many on standard error.
	MaxAnswer = cluster.ExecOutput
	// MaxSecret is how many bytes a secret may have. No sink of this module takes more.
	MaxSecret = 64 << 10
	maxText   = 1000 // bytes of an id or a name
)

// Decode reads the answer to a verb from all that a program printed, and makes sure that it is a proper one. If the program
// answered with an error, that is no fault: see Answer.Error. What was understood is returned with a fault, so that a token
// that was minted can be found.
func Decode(verb string, printed []byte) (Answer, error) {
	var a Answer
	switch {
	case len(bytes.TrimSpace(printed)) == 0:
		return a, errors.New("it printed no answer")
	case !utf8.Valid(printed):
		return a, errors.New("its answer is not valid UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(printed))
	if err := d.Decode(&a); err != nil {
		return Answer{}, malformed(err)
	}
	if rest := bytes.TrimSpace(printed[d.InputOffset():]); len(rest) > 0 {
		return a, fmt.Errorf("it printed more than one answer: %d bytes follow the first; standard output is for one JSON object only", len(rest))
	}
	switch {
	case a.Version == 0:
		return a, errors.New(`its answer has no version; give "remint": 1`)
	case a.Version != Version:
		return Answer{}, fmt.Errorf("it speaks version %d of the protocol, this remint version %d", a.Version, Version)
	case a.Error != nil:
		return a, nil
	}
	return a, a.proper(verb)
}

// malformed says what is wrong with a text that is no answer.
func malformed(err error) error {
	var syntax *json.SyntaxError
	var typed *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return fmt.Errorf("what it printed is no JSON from byte %d on; standard output is for the answer only, standard error for everything else", syntax.Offset)
	case errors.As(err, &typed) && typed.Field != "":
		return fmt.Errorf("its answer has a wrong type at %s, which is %s", typed.Field, typed.Type)
	case errors.As(err, &typed):
		return errors.New("its answer is no JSON object")
	}
	return errors.New("its answer is cut off, or has a time that is not RFC 3339")
}

// proper makes sure that an answer says what its verb needs.
func (a *Answer) proper(verb string) error {
	if err := a.secret(); err != nil {
		a.Secret = ""
		return err
	}
	switch verb {
	case Mint:
		switch {
		case a.Token == nil || a.Token.ID == "":
			return errors.New("its answer to mint has no token.id")
		case a.Secret == "":
			return errors.New("its answer to mint has no secret")
		}
	case Identify:
		if a.Token == nil {
			return errors.New(`its answer to identify has no token; a dead secret is the error kind "denied"`)
		}
	case Held:
		if a.Token != nil && a.Token.ID == "" {
			return errors.New("its answer to held has a token without id")
		}
	case List:
		ids := make(map[string]bool, len(a.Tokens))
		for i, t := range a.Tokens {
			switch {
			case t.ID == "":
				return fmt.Errorf("its list has a token without id, at %d", i)
			case ids[t.ID]:
				return fmt.Errorf("its list has two tokens of one id, at %d", i)
			}
			ids[t.ID] = true
			if err := t.sound(); err != nil {
				return fmt.Errorf("%w, at %d of its list", err, i)
			}
		}
	}
	if a.Token != nil {
		return a.Token.sound()
	}
	return nil
}

func (a *Answer) secret() error {
	switch {
	case len(a.Secret) > MaxSecret:
		return fmt.Errorf("%w: the secret in its answer has %d bytes; the limit is %d", rotate.ErrLimit, len(a.Secret), MaxSecret)
	case strings.ContainsAny(a.Secret, "\x00\uFFFD"):
		return errors.New("the secret in its answer holds a NUL, or what is no Unicode text")
	}
	return nil
}

func (t *Token) sound() error {
	if len(t.ID) > maxText || len(t.Name) > maxText {
		return fmt.Errorf("a token has an id or name of more than %d bytes", maxText)
	}
	return nil
}
