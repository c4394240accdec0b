// Package onepassword writes a credential into one field of an item in 1Password. Its rules:
//
//   - Value and marker are two fields of one item and change in one request, which names these two fields and nothing
//     else: what other fields hold is neither sent nor changed (connect.go). With a service account the whole item is
//     the unit, and what the SDK cannot carry is refused (serviceaccount.go).
//   - A reference means exactly one field; none or several is an error that lists what there is (reference.go).
//   - A Connect server takes no condition on a write. So the item is read right before, a value that somebody else put
//     there since it was last looked at is left alone, what was written is read back, and a version that went further
//     than one step is said (write.go).
//   - Every answer of a Connect server holds all secrets of the item: no text of an answer to a change, and nothing of
//     an item but labels and ids, gets into an error.
//   - The marker says beside the token's description whether the value is still the one it was written with (marker.go).
//
// No item and no vault is created or deleted. The program op is not needed.
package onepassword

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/internal/warn"
	"github.com/remint-dev/remint/pkg/rotate"
)

// MaxValue is the largest credential in bytes that is written. 1Password names no limit for a field; this one keeps the
// item readable in its apps.
const MaxValue = 64 << 10

// Field is one field of an item. It is safe for concurrent use.
type Field struct {
	Reference      string        `yaml:"reference" required:"true" scalar:"true" example:"op://blumeops/fly.io admin/add more/deploy-token" doc:"The field, as a secret reference: op://vault/item/section/field, or op://vault/item/field where that means one field only. Each part is a name, in capitals or not, or an id. With ids of vault and item one request finds the field, with names three."`
	Host           string        `yaml:"host" env:"OP_CONNECT_HOST" example:"https://connect.example.com" doc:"Address of the Connect server, version 1.7.1 or later."`
	Token          rotate.Secret `yaml:"token" env:"OP_CONNECT_TOKEN" doc:"Access token of the Connect server, which must be allowed to read and write the items of the vault."`
	Insecure       bool          `yaml:"insecure" doc:"Speak plain http to a Connect server on another machine. The token and all fields of the item then cross the network unencrypted; only for a network that nobody else can listen to."`
	ServiceAccount rotate.Secret `yaml:"service-account" env:"OP_SERVICE_ACCOUNT_TOKEN" doc:"Token of a service account, used where no Connect server is given. Only the build with 1Password's SDK (build tag onepassword_sdk) can use it."`
	Marker         string        `yaml:"marker" example:"deploy-token remint" doc:"Label of the text field in the same section that says which token the field holds; it is made if it is missing. Without this it is the field's label with the word remint after it."`

	// Interval is the wait before something is looked at again; 0: 1 s.
	Interval time.Duration `yaml:"-" json:"-"`
	// Transport carries the requests to a Connect server; nil is the process's pool. The SDK has its own.
	Transport http.RoundTripper `yaml:"-" json:"-"`

	once     sync.Once
	invalid  error // what Validate said at the first use
	mu       sync.Mutex
	store    store
	vault    string // ids that the reference means; "": not known
	item     string
	last     *sight  // as it was last read; nil: not yet
	undo     *change // what the last write replaced
	warnings warn.List
}

var (
	_ rotate.Sink      = (*Field)(nil)
	_ rotate.Holder    = (*Field)(nil)
	_ rotate.Reader    = (*Field)(nil)
	_ rotate.Marker    = (*Field)(nil)
	_ rotate.Undoer    = (*Field)(nil)
	_ rotate.Checker   = (*Field)(nil)
	_ rotate.Warner    = (*Field)(nil)
	_ rotate.Accepter  = (*Field)(nil)
	_ rotate.Connector = (*Field)(nil)
)

// String implements [rotate.Sink]: the reference.
func (f *Field) String() string {
	if f.Reference == "" {
		return "onepassword"
	}
	return httpx.Clean(f.Reference, 300)
}

// Format implements [fmt.Formatter] for every verb: what was read is kept for an undo.
func (f *Field) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, f.String()) }

// connect reports whether a Connect server is meant. It is preferred, as by 1Password's own program.
func (f *Field) connect() bool {
	return f.Host != "" || !f.Token.IsZero() || f.ServiceAccount.IsZero()
}

// Validate reports all that is wrong with the fields, without any call.
func (f *Field) Validate() error {
	var errs []error
	bad := func(field, format string, args ...any) { errs = append(errs, rotate.Field(field, format, args...)) }
	if _, err := parse(f.Reference); err != nil {
		bad("reference", "%w", err)
	}
	if text := f.Token.Reveal(); strings.ContainsAny(text, "\r\n \t") {
		bad("token", "it holds a space or line break; no access token does")
	}
	switch {
	case !f.connect() && !sdk:
		bad("service-account", "a service account is reached with 1Password's SDK only, which this build leaves out since it would double its size: use the image whose tag ends in -onepassword, build with -tags onepassword_sdk, or give a Connect server (OP_CONNECT_HOST and OP_CONNECT_TOKEN)")
	case !f.connect():
		if strings.ContainsAny(f.ServiceAccount.Reveal(), "\r\n \t") {
			bad("service-account", "it holds a space or line break; no token of a service account does")
		}
	default:
		if f.Host == "" {
			bad("host", "give the address of a Connect server, or set OP_CONNECT_HOST")
		} else if _, err := f.base(); err != nil {
			bad("host", "%w", err)
		}
		if f.Token.IsZero() {
			bad("token", "give the access token of the Connect server, or set OP_CONNECT_TOKEN")
		}
	}
	if strings.Contains(f.Marker, "\n") || len(f.Marker) > 200 {
		bad("marker", "a label is one line of at most 200 bytes")
	}
	return errors.Join(errs...)
}

// base returns the address of the Connect server: the scheme https also where it is spoken to in plain http, which the
// wire then does (plain.go).
func (f *Field) base() (address string, err error) {
	address = strings.TrimSuffix(strings.TrimRight(f.Host, "/"), "/v1")
	if rest, plain := strings.CutPrefix(address, "http://"); plain && f.Insecure {
		address = "https://" + rest
	}
	if _, err := httpx.Base(address); err != nil {
		if strings.HasPrefix(address, "http://") {
			return "", fmt.Errorf("%w, or set insecure if nobody else can listen to the network between", err)
		}
		return "", err
	}
	return address, nil
}

// open makes the way to the item at its first use.
func (f *Field) open() error {
	f.once.Do(func() { f.invalid = f.Validate() })
	if f.invalid != nil || f.store != nil {
		return f.invalid
	}
	var err error
	if f.connect() {
		f.store, err = f.openConnect()
	} else {
		f.store, err = openServiceAccount(f.ServiceAccount)
	}
	return err
}

// Endpoints implements [rotate.Connector].
func (f *Field) Endpoints() []rotate.Endpoint {
	const why = "reads and changes the field"
	if !f.connect() {
		return []rotate.Endpoint{{Why: why + ": 1Password's own hosts, which its SDK chooses by the account"}}
	}
	return []rotate.Endpoint{httpx.Endpoint(f.Host, why, http.MethodGet, http.MethodPatch)}
}

// Accept implements [rotate.Accepter].
func (f *Field) Accept(c rotate.Credential) error { return f.fault("accept", accept(c)) }

func accept(c rotate.Credential) error {
	switch text := c.Secret.Reveal(); {
	case text == "":
		return fmt.Errorf("%w: there is no secret to write", rotate.ErrConfig)
	case len(text) > MaxValue:
		return fmt.Errorf("%w: the credential has %d bytes, and %d are written into a field at the most", rotate.ErrLimit, len(text), MaxValue)
	case strings.ToValidUTF8(text, "") != text:
		return fmt.Errorf("%w: the credential is no text in UTF-8, which a field is", rotate.ErrConfig)
	}
	return nil
}

// Warnings implements [rotate.Warner].
func (f *Field) Warnings() []string { return f.warnings.Take() }

// fault names the operation and the sink of an error.
func (f *Field) fault(op string, err error) error {
	if err == nil {
		return nil
	}
	return &rotate.Error{Op: op, At: f.String(), Err: err}
}
