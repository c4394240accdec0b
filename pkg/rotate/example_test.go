package rotate_test

import (
	"context"
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
