package httpx

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/remint-dev/remint/pkg/rotate"
)

// Origin returns scheme and host of a URL, and the port if it is not the scheme's own, such as
// "https://api.fly.io"; "" if it is no URL with a host.
func Origin(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" {
		return ""
	}
	scheme, host := strings.ToLower(u.Scheme), strings.ToLower(u.Hostname())
	if strings.Contains(host, ":") { // IPv6
		host = "[" + host + "]"
	}
	if port := u.Port(); port != "" && port != map[string]string{"https": "443", "http": "80"}[scheme] {
		host += ":" + port
	}
	return scheme + "://" + host
}

// Endpoint says that an adapter may send requests with these methods to the host of a URL, and why.
func Endpoint(address, why string, methods ...string) rotate.Endpoint {
	slices.Sort(methods)
	return rotate.Endpoint{Origin: Origin(address), Methods: slices.Compact(methods), Why: why}
}

// Proxy returns host and port of the proxy through which the process's own wire reaches a host, as HTTPS_PROXY, HTTP_PROXY
// and NO_PROXY say; "" if it is reached directly.
func Proxy(origin string) string {
	u, err := url.Parse(origin)
	if err != nil {
		return ""
	}
	proxy, err := http.ProxyFromEnvironment(&http.Request{URL: u})
	if err != nil || proxy == nil {
		return ""
	}
	return proxy.Host // without user name and password
}
