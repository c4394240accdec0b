package rotate_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/remint-dev/remint/pkg/providers/fly"
	"github.com/remint-dev/remint/pkg/rotate"
	"github.com/remint-dev/remint/pkg/sinks/file"
)

// A rotation is built from struct literals and run once a day: it decides by itself whether anything is due.
func Example() {
	r := &rotate.Rotation{
		ID:       "forge.example/example/web/deploy",
		Name:     "web deploy",
		Provider: &fly.Provider{App: "web", Expiry: 90 * 24 * time.Hour, Token: rotate.NewSecret(os.Getenv("FLY_API_TOKEN"))},
		Sinks:    []rotate.Sink{&file.File{Path: "token"}},
		Every:    75 * 24 * time.Hour,
	}
	result, err := r.Run(context.Background(), rotate.Options{})
	fmt.Println(result.Outcome, result.Next, err)
}

// A Secret shows itself to nobody who does not ask by name.
func ExampleSecret() {
	s := rotate.NewSecret("fo1_not_for_logs")
	fmt.Printf("%v %+v %#v %q %x\n", s, s, s, s, s)
	fmt.Println(len(s.Reveal()))
	// Output:
	// [secret] [secret] [secret] [secret] [secret]
	// 16
}

// A sink that is written by nobody else keeps a mark beside the secret, and needs no secret to say what it holds.
func ExampleMark() {
	born := time.Date(2026, 11, 22, 6, 0, 0, 0, time.UTC)
	text := rotate.Mark{Token: rotate.Token{ID: "7", Name: "web", Created: born}, Verified: true}.String()
	fmt.Println(text)
	mark, err := rotate.ParseMark(text)
	fmt.Println(mark.Token.ID, mark.Verified, err)
	_, err = rotate.ParseMark("a value of somebody else's")
	fmt.Println(errors.Is(err, rotate.ErrConflict))
	// Output:
	// {"remint":1,"id":"7","name":"web","created":"2026-11-22T06:00:00Z","verified":true}
	// 7 true <nil>
	// true
}

// What a verifier looks for may name the newborn.
func ExampleToken_Expand() {
	t := rotate.Token{ID: "7", Expires: time.Date(2027, 2, 20, 6, 0, 0, 0, time.UTC)}
	fmt.Println(t.Expand(`expires{id="${token.id}"} ${token.expires.unix}`))
	// Output:
	// expires{id="7"} 1803103200 <nil>
}

// An adapter says what went wrong, where, and by a sentinel what the operator does next.
func ExampleError() {
	err := &rotate.Error{Op: "write", At: "github:example/web/TOKEN", Err: fmt.Errorf("%w: PUT …: 403", rotate.ErrDenied)}
	fmt.Println(err, errors.Is(err, rotate.ErrDenied))
	// Output:
	// write github:example/web/TOKEN: permission denied: PUT …: 403 true
}
