package file

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/remint-dev/remint/pkg/rotate"
)

func TestDotenv(t *testing.T) {
	for _, c := range []struct {
		name, doc, value string
		create           bool
		held, want       string
		err              error
	}{
		{name: "bare", doc: "K=old\n", held: "old", want: "K=new\n"},
		{name: "no line break at the end", doc: "A=1\nK=old", held: "old", want: "A=1\nK=new"},
		{name: "CRLF", doc: "A=1\r\nK=old\r\nB=2\r\n", held: "old", want: "A=1\r\nK=new\r\nB=2\r\n"},
		{name: "export, blanks, comment", doc: "# K=no\n\texport  K = old   # why\n\n", held: "old", want: "# K=no\n\texport  K = new   # why\n\n"},
		{name: "hash inside", doc: "K=a#b\n", held: "a#b", want: "K=new\n"},
		{name: "empty", doc: "K=\nA=1\n", want: "K=new\nA=1\n"},
		{name: "empty with comment", doc: "K= # none\n", want: "K=new # none\n"},
		{name: "single quotes", doc: "K='old # x' # c\n", held: "old # x", want: "K='new' # c\n"},
		{name: "double quotes", doc: `K="o\"ld\$" # "c"` + "\n", held: `o"ld$`, want: `K="new" # "c"` + "\n"},
		{name: "needs quotes", doc: "K=old\n", value: "FlyV1 fm2_x,fm2_y", held: "old", want: "K='FlyV1 fm2_x,fm2_y'\n"},
		{name: "blanks as before", doc: "K=FlyV1 old\n", value: "FlyV1 fm2_x,fm2_y", held: "FlyV1 old", want: "K=FlyV1 fm2_x,fm2_y\n"},
		{name: "blanks as before, but a hash", doc: "K=FlyV1 old\n", value: "a #b", held: "FlyV1 old", want: "K='a #b'\n"},
		{name: "double quotes kept", doc: "K=\"old\"\n", value: "a b", held: "old", want: "K=\"a b\"\n"},
		{name: "dollar in double quotes", doc: "K=\"old\"\n", value: "a$b", held: "old", want: "K='a$b'\n"},
		{name: "apostrophe in single quotes", doc: "K='old'\n", value: "it's", held: "old", want: "K=\"it's\"\n"},
		{name: "neither form", doc: "K='old'\n", value: "it's $5", held: "old", err: rotate.ErrConfig},
		{name: "same value in another form", doc: "K=\"new\"\n", held: "new", want: "K=\"new\"\n"},
		{name: "names that contain it", doc: "KK=1\nAK=2\nK.x=3\nK=old\nk=4\n", held: "old", want: "KK=1\nAK=2\nK.x=3\nK=new\nk=4\n"},
		{name: "other lines of any form", doc: "junk\n=\n A='x\nB = \"y\nC: 1\n\x00\xff\nK=old\n", held: "old", want: "junk\n=\n A='x\nB = \"y\nC: 1\n\x00\xff\nK=new\n"},
		{name: "behind a value of several lines", doc: "A=\"x\ny\"\nK=old\n", held: "old", want: "A=\"x\ny\"\nK=new\n"},
		{name: "inside a value of several lines", doc: "A=\"x\nK=old\ny\"\n", err: rotate.ErrConfig},
		{name: "behind a backslash", doc: "A=x\\\nK=old\n", err: rotate.ErrConfig},
		{name: "behind a comment with a backslash", doc: "# x\\\nK=old\n", held: "old", want: "# x\\\nK=new\n"},
		{name: "several lines", doc: "K=\"x\ny\"\n", err: rotate.ErrConfig},
		{name: "open quote", doc: "K='x\n", err: rotate.ErrConfig},
		{name: "glued", doc: "K='x'y\n", err: rotate.ErrConfig},
		{name: "comment glued", doc: "K='x'#y\n", err: rotate.ErrConfig},
		{name: "comment or value", doc: "K=#y\n", err: rotate.ErrConfig},
		{name: "expansion", doc: "K=$OTHER\n", err: rotate.ErrConfig},
		{name: "twice", doc: "K=a\nexport K=b\n", err: rotate.ErrConfig},
		{name: "missing", doc: "A=1\n", err: errNoKey},
		{name: "only a comment", doc: "#K=1\n", err: errNoKey},
		{name: "created", doc: "A=1", create: true, want: "A=1\nK=new\n"},
		{name: "created with CRLF", doc: "A=1\r\n", create: true, want: "A=1\r\nK=new\r\n"},
		{name: "created behind a backslash", doc: `A=1\`, create: true, err: rotate.ErrConfig},
		{name: "created in nothing", create: true, want: "K=new\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.value == "" {
				c.value = "new"
			}
			got, err := splice(c.doc, "K", c.value, c.create)
			if !errors.Is(err, c.err) || got != c.want {
				t.Errorf("got %q, %v; want %q, %v", got, err, c.want, c.err)
			}
			if a, err := locate(c.doc, "K"); err == nil && a.value != c.held {
				t.Errorf("holds %q, want %q", a.value, c.held)
			}
		})
	}
}

// TestShell asks a real shell what it makes of our lines.
func TestShell(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("no shell")
	}
	path := filepath.Join(t.TempDir(), ".env")
	for _, doc := range []string{"K=old\n", "export K='old'\n", "K=\"old\" # c\n", "A=1\n"} {
		for _, value := range []string{"plain", "FlyV1 fm2_x,fm2_y", "it's", `"x" $HOME \n`, "a`b`", "#x", " x ", "*", "~", "a;b&c|d", "ü"} {
			got, err := splice(doc, "K", value, true)
			if err != nil {
				t.Errorf("%q: %v", value, err)
				continue
			}
			if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
				t.Fatal(err)
			}
			out, err := exec.Command(sh, "-c", `. "$1"; printf %s "$K"`, "sh", path).Output()
			if err != nil || string(out) != value {
				t.Errorf("%q is %q to the shell, want %q (%v)", got, out, value, err)
			}
		}
	}
}

// FuzzDotenv: only the bytes of one value change, and the new value reads back.
func FuzzDotenv(f *testing.F) {
	f.Add("A=1\nK=old\n", "new", true)
	f.Add("export K='x' # c\r\nA=\"\n\"", "a b", false)
	f.Add("K=a b\\\n", "it's", false)
	f.Add("\\", "0", true)
	f.Fuzz(func(t *testing.T, doc, value string, create bool) {
		if value == "" || !utf8.ValidString(value) || strings.ContainsFunc(value, unicode.IsControl) {
			t.Skip()
		}
		got, err := splice(doc, "K", value, create)
		if err != nil {
			return
		}
		a, err := locate(got, "K")
		if err != nil || a.value != value {
			t.Fatalf("%q became %q, which reads back as %q, %v", doc, got, a.value, err)
		}
		was, err := locate(doc, "K")
		if errors.Is(err, errNoKey) {
			if !strings.HasPrefix(got, doc) {
				t.Errorf("%q became %q", doc, got)
			}
			return
		}
		if back := got[:a.start] + doc[was.start:was.end] + got[a.end:]; back != doc {
			t.Errorf("%q became %q, and back %q", doc, got, back)
		}
	})
}
