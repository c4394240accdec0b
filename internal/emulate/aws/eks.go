package aws

import (
	"encoding/json"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
)

// This file is EKS as far as a client of a cluster needs it: DescribeCluster (REST protocol), and what a cluster
// does with a bearer token of a caller: it requests the presigned URL of GetCallerIdentity in it, after it has seen
// that the URL leads to STS and nowhere else (github.com/kubernetes-sigs/aws-iam-authenticator).

type cluster struct {
	status, endpoint string
	ca               []byte
	created          float64
}

// AddCluster makes a cluster that is ACTIVE, with an API server at the endpoint, and returns its ARN.
func (s *Server) AddCluster(name, endpoint string, ca []byte) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clusters[name] = &cluster{"ACTIVE", endpoint, slices.Clone(ca), *epoch(s.now())}
	return s.clusterARN(name)
}

// SetClusterStatus gives a cluster another status, such as CREATING, UPDATING, DELETING or FAILED.
func (s *Server) SetClusterStatus(name, status string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clusters[name].status = status
}

func (s *Server) clusterARN(name string) string {
	return "arn:aws:eks:" + s.region + ":" + s.account + ":cluster/" + name
}

// WhoIs returns the ARN of the caller whose token for a cluster it is, as the cluster learns it; false if the
// token is not good for this cluster.
func (s *Server) WhoIs(cluster, token string) (arn string, ok bool) {
	text, ok := strings.CutPrefix(token, "k8s-aws-v1.")
	if !ok {
		return "", false
	}
	raw, err := b64.DecodeString(text)
	if err != nil {
		return "", false
	}
	u, err := url.Parse(string(raw))
	if err != nil || u.Scheme != "https" || u.Path != "/" || u.User != nil || u.Fragment != "" {
		return "", false
	}
	if u.Host != "sts."+s.region+".amazonaws.com" && u.Host != "sts."+s.region+".amazonaws.com.cn" {
		return "", false
	}
	for name, values := range u.Query() {
		switch name {
		case "Action", "Version", "X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-Security-Token", "X-Amz-Signature", "X-Amz-SignedHeaders":
			if len(values) == 1 {
				continue
			}
		}
		return "", false
	}
	if u.Query().Get("Action") != "GetCallerIdentity" || !slices.Contains(strings.Split(u.Query().Get("X-Amz-SignedHeaders"), ";"), "x-k8s-aws-id") {
		return "", false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	who, f := s.verifyPresigned(u, u.Host, http.Header{"X-K8s-Aws-Id": {cluster}}, "sts")
	return who.arn, f == nil
}

// presigned answers GetCallerIdentity, the one presigned request that anybody makes here.
func (s *Server) presigned(w http.ResponseWriter, r *http.Request) {
	if q := r.URL.Query(); q.Get("Action") != "GetCallerIdentity" || q.Get("Version") != "2011-06-15" {
		answerXML(w, &failure{http.StatusBadRequest, "InvalidAction", "Could not find operation"}, nil)
		return
	}
	s.count(Identity)
	s.Faults.Serve(Identity, w, r, func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		who, f := s.verifyPresigned(r.URL, r.Host, r.Header, "sts")
		if f != nil {
			f.status = http.StatusForbidden
			answerXML(w, f, nil)
			return
		}
		answerXML(w, nil, callerIdentity(who, s.account))
	})
}

// described is what DescribeCluster answers.
type describedCluster struct {
	Name      string  `json:"name"`
	ARN       string  `json:"arn"`
	CreatedAt float64 `json:"createdAt"`
	Version   string  `json:"version"`
	Endpoint  *string `json:"endpoint,omitempty"`
	RoleARN   string  `json:"roleArn"`
	Status    string  `json:"status"`
	CA        struct {
		Data []byte `json:"data,omitempty"`
	} `json:"certificateAuthority"`
	PlatformVersion string `json:"platformVersion"`
}

func (s *Server) describeCluster(w http.ResponseWriter, r *http.Request) {
	s.count(DescribeCluster)
	s.Faults.Serve(DescribeCluster, w, r, func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		who, f := s.verify(r, nil, "eks")
		if f != nil {
			f.status = http.StatusForbidden
			answerREST(w, f, nil)
			return
		}
		name := path.Base(r.URL.Path)
		if f := s.authorize(who, "eks:DescribeCluster", s.clusterARN(name)); f != nil {
			f.status = http.StatusForbidden
			answerREST(w, f, nil)
			return
		}
		c := s.clusters[name]
		if c == nil {
			answerREST(w, &failure{http.StatusNotFound, "ResourceNotFoundException", "No cluster found for name: " + name + "."}, nil)
			return
		}
		out := describedCluster{Name: name, ARN: s.clusterARN(name), CreatedAt: c.created, Version: "1.34", Status: c.status,
			RoleARN: "arn:aws:iam::" + s.account + ":role/cluster", PlatformVersion: "eks.1"}
		if c.status != "CREATING" && c.status != "FAILED" { // not there before the cluster is
			out.Endpoint, out.CA.Data = &c.endpoint, c.ca
		}
		answerREST(w, nil, map[string]any{"cluster": out})
	})
}

// answerREST answers in the REST protocol, which names the error in a header.
func answerREST(w http.ResponseWriter, f *failure, out any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Amzn-Requestid", requestID())
	status := http.StatusOK
	if f != nil {
		status = f.status
		w.Header().Set("X-Amzn-Errortype", f.code)
		out = map[string]string{"message": f.message}
	}
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(out)
}
