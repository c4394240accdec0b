package ssm

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/internal/pattern"
	"github.com/remint-dev/remint/pkg/rotate"
)

// This file reads: the versions with their labels (nothing is decrypted), and the latest value.

const (
	// tokenLabel begins the label that says which token a version holds; 16 bytes of a digest in hex follow.
	tokenLabel = "remint-"
	// verifiedLabel is on the version whose token was verified.
	verifiedLabel = "remint-verified"
)

var ourLabel = pattern.New(`^remint-(?:[0-9a-f]{32}|verified)$`)

// labelOf returns the label of versions that hold the token; "" if the provider cannot name the token.
func labelOf(t rotate.Token) string {
	if t.ID == "" {
		return ""
	}
	sum := sha256.Sum256([]byte("remint aws-parameter-store 1 " + t.ID))
	return tokenLabel + hex.EncodeToString(sum[:16])
}

// history is what GetParameterHistory says: the latest version, without its value, and what is on the others.
type history struct {
	latest types.ParameterHistory
	labels map[int64][]string // of every version that has some
	oldest int64
	count  int
}

// Held implements [rotate.Holder] with one request for every fifty versions that are kept. If somebody else wrote
// the latest version, Holding.Is knows no token and the value must be read.
func (p *Parameter) Held(ctx context.Context) (rotate.Holding, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	h, err := p.look(ctx)
	if err != nil {
		return rotate.Holding{}, p.fault("held", err)
	}
	labels := h.latest.Labels
	return rotate.Holding{
		Is:       func(t rotate.Token) bool { return t.ID != "" && slices.Contains(labels, labelOf(t)) },
		Verified: slices.Contains(labels, verifiedLabel),
	}, nil
}

// Read implements [rotate.Reader].
func (p *Parameter) Read(ctx context.Context) (rotate.Secret, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now, err := p.value(ctx, 0)
	if err != nil {
		return rotate.Secret{}, p.fault("read", err)
	}
	p.read = now.version
	return now.secret, nil
}

// Mark implements [rotate.Marker]. It labels the latest version, which must be one that was written with t, or the
// one that Read saw last: that one is known by its label from now on.
func (p *Parameter) Mark(ctx context.Context, t rotate.Token) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	h, err := p.look(ctx)
	if err != nil {
		return p.fault("mark", err)
	}
	label := labelOf(t)
	others := only(h.latest.Labels, func(l string) bool { return ourLabel.MatchString(l) && l != verifiedLabel && l != label })
	wrote := label != "" && slices.Contains(h.latest.Labels, label)
	if v := h.latest.Version; !wrote && (v != p.read || len(others) > 0) {
		return p.fault("mark", fmt.Errorf("%w: its latest version %d was not written with token %s", rotate.ErrConflict, v, t.ID))
	}
	return p.fault("mark", p.label(ctx, h.latest.Version, label, verifiedLabel))
}

// label puts labels on a version that does not have them yet.
func (p *Parameter) label(ctx context.Context, version int64, labels ...string) error {
	var has []string
	if p.known != nil {
		has = p.known.labels[version]
	}
	labels = only(labels, func(l string) bool { return l != "" && !slices.Contains(has, l) })
	if len(labels) == 0 {
		return nil
	}
	out, err := p.api.LabelParameterVersion(ctx, &sdk.LabelParameterVersionInput{Name: aws.String(p.name()), ParameterVersion: &version, Labels: labels})
	switch {
	case err != nil:
		return p.explain("LabelParameterVersion", err)
	case len(out.InvalidLabels) > 0:
		return fmt.Errorf("%w: LabelParameterVersion: the label %s was refused as invalid", rotate.ErrConfig, httpx.Clean(out.InvalidLabels[0], 100))
	}
	if k := p.known; k != nil {
		for v := range k.labels { // a label sits on one version
			k.labels[v] = only(k.labels[v], func(l string) bool { return !slices.Contains(labels, l) })
		}
		k.labels[version] = append(slices.Clone(has), labels...)
		k.latest.Labels = k.labels[k.latest.Version]
	}
	return nil
}

// pages is more than a hundred versions can have.
const pages = 20

// look asks for the versions.
func (p *Parameter) look(ctx context.Context) (*history, error) {
	api, err := p.client(ctx)
	if err != nil {
		return nil, err
	}
	h := &history{labels: map[int64][]string{}}
	in := &sdk.GetParameterHistoryInput{Name: aws.String(p.name()), MaxResults: aws.Int32(50)}
	for range pages {
		out, err := api.GetParameterHistory(ctx, in)
		if err != nil {
			return nil, p.explain("GetParameterHistory", err)
		}
		for _, v := range out.Parameters {
			v.Value = nil
			h.count++
			if len(v.Labels) > 0 {
				h.labels[v.Version] = v.Labels
			}
			if h.oldest == 0 || v.Version < h.oldest {
				h.oldest = v.Version
			}
			if v.Version > h.latest.Version {
				h.latest = v
			}
		}
		if in.NextToken = out.NextToken; aws.ToString(in.NextToken) == "" {
			if h.latest.Version == 0 {
				return nil, fmt.Errorf("%w: GetParameterHistory: the answer has no version", rotate.ErrTemporary)
			}
			p.known = h
			return h, nil
		}
	}
	return nil, fmt.Errorf("%w: GetParameterHistory: the answer has no end", rotate.ErrTemporary)
}

// seen returns what is known of the versions if it is about the given latest one, and asks otherwise. Whatever is
// changed about a parameter makes another version, labels aside.
func (p *Parameter) seen(ctx context.Context, version int64) (*history, error) {
	if p.known != nil && p.known.latest.Version == version {
		return p.known, nil
	}
	return p.look(ctx)
}

// sight is the value of one version.
type sight struct {
	version int64
	secret  rotate.Secret
}

// value reads a version; 0: the latest, as consumers do.
func (p *Parameter) value(ctx context.Context, version int64) (sight, error) {
	api, err := p.client(ctx)
	if err != nil {
		return sight{}, err
	}
	name := p.name()
	if version > 0 {
		name = fmt.Sprintf("%s:%d", name, version)
	}
	out, err := api.GetParameter(ctx, &sdk.GetParameterInput{Name: &name, WithDecryption: aws.Bool(true)})
	if err != nil {
		return sight{}, p.explain("GetParameter", err)
	}
	v := out.Parameter
	if v == nil || v.Value == nil || v.Version == 0 {
		return sight{}, fmt.Errorf("%w: GetParameter: the answer has no value", rotate.ErrTemporary)
	}
	return sight{v.Version, rotate.NewSecret(*v.Value)}, nil
}
