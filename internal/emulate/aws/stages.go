package aws

import (
	"bytes"
	"slices"
	"time"
)

// This file is the machine of versions and staging labels, as documented for PutSecretValue and
// UpdateSecretVersionStage (aws-sdk-go-v2/service/secretsmanager v1.50.10, api_op_*.go):
//
//   - A label sits on one version at the most. AWSCURRENT never vanishes once it is there.
//   - Whenever AWSCURRENT moves, AWSPREVIOUS moves to the version it left, and nothing else moves.
//   - Moving a label that sits on another version takes the id of that version: a compare-and-swap.
//   - The token of a put is the id of the version. The same token with the same value does nothing, with
//     another value it is refused: versions never change.
//   - A version without labels is deprecated: it can still be read by its id, until it is removed to make
//     room. At most 100 versions are kept, and none that is younger than a day is removed.

const (
	current     = "AWSCURRENT"
	previous    = "AWSPREVIOUS"
	pending     = "AWSPENDING"
	maxVersions = 100
	maxLabels   = 20
	keepVersion = 24 * time.Hour
)

type version struct {
	id      string
	text    *string // nil: binary
	binary  []byte
	created time.Time
}

func (v *version) equal(text *string, binary []byte) bool {
	if (v.text == nil) != (text == nil) {
		return false
	}
	if text != nil {
		return *v.text == *text
	}
	return bytes.Equal(v.binary, binary)
}

// secret is one secret with its versions, oldest first.
type secret struct {
	Meta
	arn, name        string
	created, changed time.Time
	versions         []*version
	labels           map[string]string // label to version id
}

func (s *secret) find(id string) *version {
	for _, v := range s.versions {
		if v.id == id {
			return v
		}
	}
	return nil
}

// stages returns the labels of a version, sorted.
func (s *secret) stages(id string) []string {
	var on []string
	for label, at := range s.labels {
		if at == id {
			on = append(on, label)
		}
	}
	slices.Sort(on)
	return on
}

// attach puts a label on a version, wherever it was.
func (s *secret) attach(label, id string) {
	was := s.labels[label]
	s.labels[label] = id
	if label == current && was != "" && was != id {
		s.labels[previous] = was
	}
}

// put adds a version, or finds it. The labels are those of the request; none means AWSCURRENT.
func (s *secret) put(v *version, labels []string) (*version, *failure) {
	if old := s.find(v.id); old != nil {
		if !old.equal(v.text, v.binary) {
			return nil, fail("ResourceExistsException",
				"You can't use ClientRequestToken %s because that value is already in use for a version of secret %s.", v.id, s.arn)
		}
		return old, nil
	}
	if len(s.versions) >= maxVersions {
		s.versions = slices.DeleteFunc(s.versions, func(old *version) bool {
			return len(s.stages(old.id)) == 0 && v.created.Sub(old.created) >= keepVersion
		})
		if len(s.versions) >= maxVersions {
			return nil, fail("LimitExceededException", "You exceeded the quota of %d versions of a secret.", maxVersions) // text inferred
		}
	}
	if len(labels) == 0 {
		labels = []string{current}
	}
	s.versions = append(s.versions, v)
	for _, l := range labels {
		s.attach(l, v.id)
	}
	if s.labels[current] == "" { // the first version
		s.attach(current, v.id)
	}
	s.changed = v.created
	return v, nil
}

// move is UpdateSecretVersionStage. Codes inferred: InvalidParameterException for every refusal of a label.
func (s *secret) move(label, to, from string) *failure {
	holder := s.labels[label]
	if to == "" {
		switch {
		case from == "":
			return fail("InvalidParameterException", "You must specify MoveToVersionId or RemoveFromVersionId.")
		case holder != from:
			return fail("InvalidParameterException", "Staging label %s is not attached to version %s.", label, from)
		case label == current:
			return fail("InvalidParameterException", "You can't remove the staging label AWSCURRENT; move it to another version.")
		}
		delete(s.labels, label)
		return nil
	}
	if s.find(to) == nil {
		return fail("ResourceNotFoundException", "Secrets Manager can't find the specified secret value for VersionId: %s", to)
	}
	switch {
	case holder != "" && holder != to && from == "":
		return fail("InvalidParameterException", "The parameter RemoveFromVersionId can't be empty. Staging label %s is currently attached to version %s, "+
			"so you must explicitly reference that version in RemoveFromVersionId.", label, holder)
	case from != "" && holder != from:
		return fail("InvalidParameterException",
			"When you move staging label %s, RemoveFromVersionId must be the version that currently has it.", label)
	case holder != to && len(s.stages(to)) >= maxLabels:
		return fail("LimitExceededException", "You exceeded the quota of %d staging labels of a version.", maxLabels)
	}
	s.attach(label, to)
	return nil
}
