package process

import (
	"strings"
	"testing"
)

func TestTail(t *testing.T) {
	var last Tail
	for range 500 {
		_, _ = last.Write([]byte("0123456789abc"))
	}
	if len(last.text) != Keep || !last.cut || !strings.HasPrefix(last.Last(), "… ") || !strings.HasSuffix(last.Last(), "abc") {
		t.Errorf("kept %q", last.text)
	}
}
