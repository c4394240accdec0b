package github

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"time"
)

// The shapes of repositories, users and runs have every key that GitHub's description requires.

func node(kind string, id int64) string {
	return kind + "_" + base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d", id))
}

func (s *Server) user(login string, id int64) object {
	if login == "" {
		login = "octocat"
	}
	u := s.url() + "/users/" + login
	return object{
		"login": login, "id": id, "node_id": node("U", id), "avatar_url": s.site() + "/avatars/" + login, "gravatar_id": "",
		"url": u, "html_url": s.site() + "/" + login, "followers_url": u + "/followers",
		"following_url": u + "/following{/other_user}", "gists_url": u + "/gists{/gist_id}",
		"starred_url": u + "/starred{/owner}{/repo}", "subscriptions_url": u + "/subscriptions",
		"organizations_url": u + "/orgs", "repos_url": u + "/repos", "events_url": u + "/events{/privacy}",
		"received_events_url": u + "/received_events", "type": "User", "site_admin": false,
	}
}

func (s *Server) getUser(c *call) {
	if c.token.Kind == Job || c.token.Kind == Installed {
		fail(c.w, 403, "Resource not accessible by integration")
		return
	}
	out := s.user(c.token.Login, 1)
	for k, v := range (object{
		"user_view_type": "public", "name": nil, "company": nil, "blog": nil, "location": nil, "email": nil, "hireable": nil, "bio": nil,
		"public_repos": 0, "public_gists": 0, "followers": 0, "following": 0,
		"created_at": time.Unix(0, 0).UTC(), "updated_at": time.Unix(0, 0).UTC(),
	}) {
		out[k] = v
	}
	reply(c.w, 200, out)
}

// minimal is a repository as it stands inside other answers.
func (s *Server) minimal(r *repository) object {
	owner, name, _ := strings.Cut(r.Name, "/")
	u := s.url() + "/repos/" + r.Name
	out := object{
		"id": r.id, "node_id": node("R", r.id), "name": name, "full_name": r.Name, "owner": s.user(owner, 2),
		"private": !r.Public, "html_url": s.site() + "/" + r.Name, "description": nil, "fork": false, "url": u,
	}
	for _, k := range strings.Fields(`contributors deployments downloads events forks hooks languages merges
		stargazers subscribers subscription tags teams`) {
		out[k+"_url"] = u + "/" + k
	}
	for k, tail := range map[string]string{
		"archive": "{archive_format}{/ref}", "assignees": "{/user}", "branches": "{/branch}", "collaborators": "{/collaborator}",
		"comments": "{/number}", "commits": "{/sha}", "contents": "{+path}", "compare": "{base}...{head}", "issues": "{/number}",
		"keys": "{/key_id}", "labels": "{/name}", "milestones": "{/number}", "notifications": "{?since,all}", "pulls": "{/number}",
		"releases": "{/id}", "statuses": "{sha}", "blobs": "{/sha}", "trees": "{/sha}", "git_commits": "{/sha}", "git_refs": "{/sha}",
		"git_tags": "{/sha}", "issue_comment": "{/number}", "issue_events": "{/number}",
	} {
		out[k+"_url"] = u + "/" + strings.ReplaceAll(k, "_", "/") + tail
	}
	return out
}

func (s *Server) getRepository(c *call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := c.repo
	out := s.minimal(r)
	page := s.site() + "/" + r.Name
	for k, v := range (object{
		"clone_url": page + ".git", "git_url": "git:" + strings.TrimPrefix(page, "https:") + ".git", "ssh_url": "git@" + r.Name + ".git",
		"svn_url": page, "mirror_url": nil, "homepage": nil, "language": nil, "default_branch": r.Branches[0], "license": nil,
		"forks": 0, "forks_count": 0, "open_issues": 0, "open_issues_count": 0, "size": 1, "stargazers_count": 0, "watchers": 0,
		"watchers_count": 0, "network_count": 0, "subscribers_count": 0,
		"has_issues": true, "has_projects": true, "has_wiki": true, "has_pages": false, "has_discussions": false, "archived": false, "disabled": false,
		"pushed_at": r.created, "created_at": r.created, "updated_at": r.created,
	}) {
		out[k] = v
	}
	reply(c.w, 200, out)
}

func (s *Server) getEnvironment(c *call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := c.repo.environments[strings.ToLower(c.place.Environment)]
	reply(c.w, 200, object{
		"id": e.id, "node_id": node("EN", e.id), "name": e.Name,
		"url":        s.url() + c.r.URL.EscapedPath(),
		"html_url":   fmt.Sprintf("%s/%s/deployments/activity_log?environments_filter=%s", s.site(), c.repo.Name, e.Name),
		"created_at": e.created, "updated_at": e.created,
	})
}

// show is a run as the API answers it. The caller holds mu.
func (s *Server) show(x *run) object {
	u := fmt.Sprintf("%s/repos/%s/actions/runs/%d", s.url(), x.Repository, x.ID)
	sha := fmt.Sprintf("%x", sha256.Sum256([]byte(x.Repository+x.Branch)))[:40]
	person := object{"name": "octocat", "email": "octocat@github.com"}
	out := object{
		"id": x.ID, "name": x.workflow.Name, "node_id": node("WFR", x.ID), "display_title": x.Title, "event": x.Event,
		"status": x.Status, "conclusion": nil, "head_branch": x.Branch, "head_sha": sha, "path": x.workflow.path(),
		"workflow_id": x.workflow.id, "run_number": x.Number, "run_attempt": x.Attempt,
		"created_at": x.Created, "updated_at": x.Updated, "run_started_at": x.Created,
		"actor": s.user(x.Actor, 1), "triggering_actor": s.user(x.Actor, 1),
		"url": u, "html_url": fmt.Sprintf("%s/%s/actions/runs/%d", s.site(), x.Repository, x.ID),
		"jobs_url": u + "/jobs", "logs_url": u + "/logs", "artifacts_url": u + "/artifacts", "cancel_url": u + "/cancel",
		"rerun_url": u + "/rerun", "previous_attempt_url": nil,
		"check_suite_url": fmt.Sprintf("%s/repos/%s/check-suites/%d", s.url(), x.Repository, x.ID),
		"workflow_url":    fmt.Sprintf("%s/repos/%s/actions/workflows/%d", s.url(), x.Repository, x.workflow.id),
		"pull_requests":   []object{},
		"head_commit":     object{"id": sha, "tree_id": sha, "message": "a commit", "timestamp": x.repo.created, "author": person, "committer": person},
		"repository":      s.minimal(x.repo), "head_repository": s.minimal(x.repo),
	}
	if x.Conclusion != "" {
		out["conclusion"] = x.Conclusion
	}
	return out
}
