package pattern

// Names in Kubernetes (kubernetes.io, "Object Names and IDs").
var (
	// DNSLabel is the name of a namespace, of a service or of a container: a label of RFC 1123.
	DNSLabel = New(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	// DNSName is the name of most objects: a subdomain of RFC 1123, where dots may stand like hyphens.
	DNSName = New(`^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$`)
)
