// Command embed rotates with a provider and a sink of its own: the smallest program around pkg/rotate. Its service is a
// map; put the calls of yours in its place. Run it twice a day or once a minute: it decides by itself whether anything is due.
package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"log"
	"maps"
	"slices"
	"time"

	"github.com/remint-dev/remint/pkg/rotate"
)

// service is a provider.
type service map[string]rotate.Token

func (s service) Mint(_ context.Context, name string) (rotate.Credential, error) {
	now := time.Now().Truncate(time.Second)
	t := rotate.Token{ID: rand.Text(), Name: name, Created: now, Expires: now.Add(90 * rotate.Tick)}
	s[t.ID] = t
	return rotate.Credential{Token: t, Secret: rotate.NewSecret(rand.Text())}, nil
}
func (s service) List(context.Context) ([]rotate.Token, error) {
	return slices.Collect(maps.Values(s)), nil
}
func (s service) Revoke(_ context.Context, t rotate.Token) error { delete(s, t.ID); return nil }
func (s service) String() string                                 { return "service" }

// place is a sink that keeps a mark beside the secret, so that the next run knows what it holds.
type place struct {
	secret rotate.Secret
	mark   rotate.Mark
}

func (p *place) Write(_ context.Context, c rotate.Credential) error {
	p.secret, p.mark = c.Secret, rotate.Mark{Token: c.Token}
	return nil
}
func (p *place) Held(context.Context) (rotate.Holding, error) {
	return rotate.Holding{Mark: p.mark}, nil
}
func (p *place) Mark(_ context.Context, t rotate.Token) error { p.mark.Verified = true; return nil }
func (p *place) String() string                               { return "place" }

func main() {
	p := &place{}
	r := &rotate.Rotation{ID: "example.com/web", Name: "web", Provider: service{}, Sinks: []rotate.Sink{p}, Every: 75 * rotate.Tick}
	for range 2 {
		result, err := r.Run(context.Background(), rotate.Options{})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s: %s, %d revoked\n", result.Name, result.Outcome, len(result.Revoked))
	}
}
