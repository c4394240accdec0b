package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"

	"github.com/remint-dev/remint/internal/report"
	"github.com/remint-dev/remint/pkg/config"
	"github.com/remint-dev/remint/pkg/rotate"
)

// This file says whose secret a secret is. Its rules:
//
//   - The secret comes by standard input only, is masked before anything else is done with it, and is never printed.
//   - A secret is shown to a service only to learn whether it is its. So the services are asked one after the other, each
//     provider once, and after one has known it only those of the same kind.

const (
	mostSecret  = 64 << 10 // bytes
	leastSecret = 8        // bytes; the redactor could not hide less
)

func (c *command) identify(ctx context.Context, o rotate.Options) int {
	secret, err := c.readSecret()
	if err != nil {
		return c.misused(err)
	}
	c.hide(secret)
	cfg, ok := c.load(config.Options{Getenv: c.getenv})
	if !ok {
		return Misused
	}
	f, kept := c.ask(ctx, cfg, secret)
	f.At = c.started
	if f.Found() {
		cfg.Rotations = kept
		f.Seen = c.survey(ctx, cfg, o)
	}
	if c.format == "json" {
		text, err := report.IdentifiedJSON(f)
		if err != nil {
			return c.misused(err)
		}
		fmt.Fprintf(c.out, "%s\n", text)
	} else {
		c.print(func(w *strings.Builder) error { return report.Identify(w, f) })
	}
	return f.Exit()
}

// ask asks the providers, and returns the rotations of those that may know more: all of the kind that knew it.
func (c *command) ask(ctx context.Context, cfg *config.Config, secret rotate.Secret) (report.Identified, []*config.Rotation) {
	var f report.Identified
	var kind reflect.Type // of the provider that knew it
	asked := map[string]bool{}
	for _, r := range cfg.Rotations {
		name := fmt.Sprintf("%T %s", r.Provider, r.Provider)
		if asked[name] || kind != nil && reflect.TypeOf(r.Provider) != kind {
			continue
		}
		asked[name] = true
		who, ok := r.Provider.(rotate.Identifier)
		if !ok {
			f.Mute = append(f.Mute, r.Provider.String())
			continue
		}
		t, err := who.Identify(ctx, secret)
		err = errors.Join(err, r.Close(context.WithoutCancel(ctx)))
		f.Asked = append(f.Asked, report.Answer{Provider: r.Provider.String(), Err: err})
		switch {
		case err == nil:
			f.Alive = true
			if !f.Found() || f.Token.ID == "" && t.ID != "" {
				f.Provider, f.Token, kind = r.Provider.String(), t, reflect.TypeOf(r.Provider)
			}
		case errors.Is(err, rotate.ErrConflict):
			f.Alive = true
		}
	}
	var kept []*config.Rotation
	for _, r := range cfg.Rotations {
		if reflect.TypeOf(r.Provider) == kind {
			kept = append(kept, r)
		}
	}
	return f, kept
}

// readSecret reads standard input.
func (c *command) readSecret() (rotate.Secret, error) {
	if c.stdin == nil {
		return rotate.Secret{}, errors.New("there is no standard input; pipe the secret in: remint identify < FILE")
	}
	if f, ok := c.stdin.(*os.File); ok {
		if s, err := f.Stat(); err == nil && s.Mode()&os.ModeCharDevice != 0 {
			return rotate.Secret{}, errors.New("standard input is a terminal, which would show the secret, or nothing; pipe the secret in: remint identify < FILE")
		}
	}
	b, err := io.ReadAll(io.LimitReader(c.stdin, mostSecret+1))
	text := strings.TrimSpace(string(b))
	switch {
	case err != nil:
		return rotate.Secret{}, fmt.Errorf("standard input: %w", err)
	case len(b) > mostSecret:
		return rotate.Secret{}, errors.New("standard input holds more than 64 KiB; a secret is smaller")
	case text == "":
		return rotate.Secret{}, errors.New("standard input is empty; pipe the secret in: remint identify < FILE")
	case len(text) < leastSecret:
		return rotate.Secret{}, fmt.Errorf("standard input holds less than %d characters, which is no token", leastSecret)
	}
	return rotate.NewSecret(text), nil
}
