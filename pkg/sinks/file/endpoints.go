package file

import "github.com/remint-dev/remint/pkg/rotate"

var _ rotate.Connector = (*File)(nil)

// Endpoints implements [rotate.Connector]: there are none.
func (f *File) Endpoints() []rotate.Endpoint { return nil }
