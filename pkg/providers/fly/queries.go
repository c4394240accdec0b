package fly

// The documents that are sent, one a request, and what is read of their answers. Rules: nothing is selected
// that is not used; no query but queryNonces selects a secret; every document fits schema.graphql of
// github.com/superfly/fly-go, which a test checks, variables included.

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

const (
	mutationMint = `mutation CreateLimitedAccessToken($input: CreateLimitedAccessTokenInput!) {
  createLimitedAccessToken(input: $input) { limitedAccessToken { id name profile createdAt expiresAt tokenHeader } }
}`
	mutationRevoke = `mutation DeleteLimitedAccessToken($input: DeleteLimitedAccessTokenInput!) {
  deleteLimitedAccessToken(input: $input) { clientMutationId }
}`
	queryOrgTokens = `query OrgTokens($slug: String!, $first: Int!, $after: String) {
  organization(slug: $slug) {
    id internalNumericId slug rawSlug
    limitedAccessTokens(first: $first, after: $after) {
      pageInfo { hasNextPage endCursor }
      nodes { id name profile createdAt expiresAt revokedAt }
    }
  }
}`
	queryAppTokens = `query AppTokens($name: String!, $first: Int!, $after: String) {
  app(name: $name) {
    id internalNumericId
    organization { id internalNumericId slug rawSlug }
    limitedAccessTokens(first: $first, after: $after) {
      pageInfo { hasNextPage endCursor }
      nodes { id name profile createdAt expiresAt revokedAt }
    }
  }
}`
	queryCheckOrg = `query CheckOrg($slug: String!) {
  viewer { __typename ... on User { email } ... on Macaroon { email } }
  organization(slug: $slug) { id internalNumericId apps(first: 100) { totalCount nodes { name role { __typename } } } }
}`
	queryCheckApp = `query CheckApp($name: String!) {
  viewer { __typename ... on User { email } ... on Macaroon { email } }
  app(name: $name) { id internalNumericId organization { id internalNumericId } }
}`
	queryWho = `query Who {
  viewer { __typename ... on User { email } ... on Macaroon { email } }
}`
	queryWhoOrg = `query WhoOrg($slug: String!) {
  viewer { __typename ... on User { email } ... on Macaroon { email } }
  organization(slug: $slug) { id internalNumericId }
}`
	queryWhoApp = `query WhoApp($name: String!) {
  viewer { __typename ... on User { email } ... on Macaroon { email } }
  app(name: $name) { id internalNumericId organization { id internalNumericId } }
}`
	queryNonces = `query Nonces($ids: [ID!]!) {
  nodes(ids: $ids) { ... on LimitedAccessToken { id token } }
}`
)

// number is an internalNumericId: of an organisation a BigInt, which is carried as a string, of an app an Int.
type number uint64

func (n *number) UnmarshalJSON(b []byte) error {
	text := strings.Trim(string(b), `"`)
	if text == "null" {
		return nil
	}
	v, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return fmt.Errorf("internalNumericId is not a number")
	}
	*n = number(v)
	return nil
}

// stamp is an ISO8601DateTime. One that cannot be read, or lies beyond what dates of tokens can be, is the
// zero time: not known.
type stamp struct{ time.Time }

func (s *stamp) UnmarshalJSON(b []byte) error {
	var text *string
	if err := json.Unmarshal(b, &text); err != nil || text == nil {
		return nil
	}
	t, err := time.Parse(time.RFC3339, *text)
	if err != nil || t.Unix() <= 0 || t.Unix() > latest {
		return nil
	}
	s.Time = t.UTC()
	return nil
}

// latest is the last second of the year 9999, beyond which times do not survive JSON.
const latest = 253402300799

type orgAnswer struct {
	ID      string
	Number  number `json:"internalNumericId"`
	Slug    string
	RawSlug string
	Tokens  listAnswer `json:"limitedAccessTokens"`
	Apps    struct {
		TotalCount int
		Nodes      []*struct {
			Name string
			Role struct {
				Type string `json:"__typename"`
			}
		}
	}
}

type appAnswer struct {
	ID           string
	Number       number     `json:"internalNumericId"`
	Organization *orgAnswer `json:"organization"`
	Tokens       listAnswer `json:"limitedAccessTokens"`
}

type listAnswer struct {
	PageInfo struct {
		HasNextPage bool
		EndCursor   string
	}
	Nodes []*tokenAnswer
}

type tokenAnswer struct {
	ID, Name, Profile    string
	CreatedAt, ExpiresAt stamp
	RevokedAt            *string
	Token, TokenHeader   string
}

// answer is the union of what the documents above select.
type answer struct {
	Viewer *struct {
		Type  string `json:"__typename"`
		Email string
	}
	Organization *orgAnswer
	App          *appAnswer
	Nodes        []*tokenAnswer
	Mint         *struct {
		Token *tokenAnswer `json:"limitedAccessToken"`
	} `json:"createLimitedAccessToken"`
}
