package protocol

import (
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/remint-dev/remint/pkg/rotate"
)

// TestPage: docs/protocol.md describes every message, field, kind and verb, in the words of the code, and nothing else.
func TestPage(t *testing.T) {
	text, err := os.ReadFile("../../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	for heading, of := range map[string]reflect.Type{
		"## Request": reflect.TypeFor[Request](), "## Answer": reflect.TypeFor[Answer](), "### Token": reflect.TypeFor[Token](), "### Error": reflect.TypeFor[Failure](),
	} {
		var want strings.Builder
		for i := range of.NumField() {
			f := of.Field(i)
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			fmt.Fprintf(&want, "| `%s` | %s | %s |\n", name, kindOf(t, f.Type), f.Tag.Get("doc"))
		}
		_, rest, found := strings.Cut(page, "\n"+heading+"\n")
		_, table, _ := strings.Cut(rest, "| --- | --- | --- |\n")
		if got, _, _ := strings.Cut(table, "\n\n"); !found || got+"\n" != want.String() {
			t.Errorf("under %s the page should say\n%s", heading, want.String())
		}
	}
	var kinds strings.Builder
	for _, k := range Kinds {
		fmt.Fprintf(&kinds, "| `%s` | %s |\n", k.Word, k.Means)
	}
	if !strings.Contains(page, "| kind | means |\n| --- | --- |\n"+kinds.String()+"\n") {
		t.Errorf("the kinds of errors should be\n%s", kinds.String())
	}
	for kind, verbs := range Verbs {
		_, rest, _ := strings.Cut(page, "\n### A "+kind+"\n")
		section, _, _ := strings.Cut(rest, "\n#")
		if got := strings.Count(section, "\n| `"); got != len(verbs) {
			t.Errorf("a %s has %d verbs on the page, %d in the code", kind, got, len(verbs))
		}
		for _, v := range verbs {
			word := "needed"
			if v.Optional {
				word = "optional"
			}
			if !strings.Contains(section, "\n| `"+v.Name+"` | "+word) {
				t.Errorf("the verb %s of a %s is not described as %s", v.Name, kind, word)
			}
		}
	}
	for what, says := range map[string]string{
		"timeout": "`timeout` (" + fmt.Sprintf("%dm", defaultTimeout/time.Minute) + " by default",
		"answer":  fmt.Sprintf("print %d MiB", MaxAnswer>>20),
		"secret":  fmt.Sprintf("a secret has at most %d KiB", MaxSecret>>10),
		"text":    fmt.Sprintf("a name %d bytes", maxText),
		"environ": strings.Join(inherited[:len(inherited)-1], ", ") + " and " + inherited[len(inherited)-1],
		"version": fmt.Sprintf("`remint` is %d", Version),
	} {
		if !strings.Contains(strings.Join(strings.Fields(page), " "), says) {
			t.Errorf("%s: the page should say %q", what, says)
		}
	}
	f, _ := reflect.TypeFor[Program]().FieldByName("Timeout")
	if got, err := time.ParseDuration(f.Tag.Get("default")); err != nil || got != defaultTimeout {
		t.Errorf("timeout: tag %s, code %s", f.Tag.Get("default"), defaultTimeout)
	}
}

// kindOf is the type of a field, in words.
func kindOf(t *testing.T, x reflect.Type) string {
	switch x {
	case reflect.TypeFor[time.Time]():
		return "time"
	case reflect.TypeFor[*Token]():
		return "token"
	case reflect.TypeFor[[]Token]():
		return "list of tokens"
	case reflect.TypeFor[*Failure]():
		return "error"
	case reflect.TypeFor[[]string]():
		return "list of texts"
	case reflect.TypeFor[map[string]string]():
		return "object of texts"
	case reflect.TypeFor[string]():
		return "text"
	case reflect.TypeFor[bool]():
		return "true or false"
	case reflect.TypeFor[int](), reflect.TypeFor[int64]():
		return "number"
	}
	t.Fatalf("no word for %s", x)
	return ""
}

// TestNothingPrintsTheSecrets: a Program can be printed.
func TestNothingPrintsTheSecrets(t *testing.T) {
	p := &Program{Run: []string{"./x"}, Secrets: map[string]rotate.Secret{"api": rotate.NewSecret("credential-of-the-program")}}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if strings.Contains(fmt.Sprintf(verb, p)+fmt.Sprintf(verb, *p), "credential-of") {
			t.Errorf("%s shows the secret", verb)
		}
	}
}
