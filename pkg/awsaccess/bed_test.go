package awsaccess

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/remint-dev/remint/internal/emulate"
	"github.com/remint-dev/remint/internal/emulate/aws"
)

const (
	region  = "eu-west-1"
	account = "111111111111"
	stsHost = "sts.eu-west-1.amazonaws.com"
	eksHost = "eks.eu-west-1.amazonaws.com"
	oidc    = "token.runner.example"
)

// bed is an emulated region and the wire to it.
type bed struct {
	*aws.Server
	wire *emulate.Wire
}

func newBed() *bed {
	b := &bed{Server: aws.New(region, account)}
	b.wire = &emulate.Wire{Route: func(host string) http.Handler {
		switch host {
		case stsHost, eksHost, oidc:
			return b.Server
		}
		return nil
	}}
	return b
}

// access returns the way in as a fresh process has it.
func (b *bed) access(change ...func(*Access)) *Access {
	a := &Access{Region: region, Transport: b.wire, Credentials: b.Credentials(), Interval: time.Second}
	for _, c := range change {
		c(a)
	}
	return a
}

// since returns the operations after the first n.
func (b *bed) since(n int) string { return strings.Join(b.Operations()[n:], " ") }

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
