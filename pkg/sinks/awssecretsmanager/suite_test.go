package awssecretsmanager

import (
	"encoding/json"
	"testing"

	"github.com/remint-dev/remint/pkg/rotate"
	"github.com/remint-dev/remint/pkg/rotate/rotatetest"
)

// TestSuite holds the sink to the contracts that the engine relies on, for a whole value and for one key of it.
func TestSuite(t *testing.T) {
	t.Run("whole", func(t *testing.T) {
		b := newBed()
		b.AddSecret(name, "made by hand")
		rotatetest.Sink(t, rotatetest.SinkUnderTest{
			New:     func(*testing.T) rotate.Sink { return b.sink() },
			Content: func(*testing.T) string { return b.Current(name) },
		})
	})
	t.Run("key", func(t *testing.T) {
		b := newBed()
		b.AddSecret(name, `{"user": "web", "token": "made by hand"}`)
		rotatetest.Sink(t, rotatetest.SinkUnderTest{
			New: func(*testing.T) rotate.Sink { return b.sink(key("token")) },
			Content: func(t *testing.T) string {
				var all map[string]string
				if err := json.Unmarshal([]byte(b.Current(name)), &all); err != nil || all["user"] != "web" {
					t.Fatalf("the siblings changed: %v, %v", all["user"], err)
				}
				return all["token"]
			},
		})
	})
}
