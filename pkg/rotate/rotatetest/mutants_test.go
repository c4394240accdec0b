package rotatetest

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// mutant is a bug of the kind that rotators had, planted in the engine's source.
type mutant struct {
	name     string
	file     string
	old, new string
}

var mutants = []mutant{
	{"revokes the old token before anything is written", "plan.go",
		"	order := r.order()\n", "	for _, t := range p.superseded(r, obs, false) {\n		p.add(r.revocation(t))\n	}\n	order := r.order()\n"},
	{"does not ask whether a token is older than what every sink holds", "retire.go",
		"	if !t.Created.Before(low.Created) {", "	if false {"},
	{"forgets the sinks it did not write", "retire.go",
		"	low, ok := floor(x.fresh)\n	if !ok {", "	low, ok := x.newborn.Token, true\n	if !ok {"},
	{"ignores that a sink could not be written", "run.go",
		"len(x.failed) > 0 && (!x.urgent()", "len(x.failed) > 9 && (!x.urgent()"},
	{"revokes by name without its fingerprint", "name.go",
		"&& strings.HasPrefix(m[3], tail(id))", ""},
	{"takes minted names of others for adopted ones", "survey.go",
		"	return !minted && r.Adopt(t)", "	return !minted && r.Adopt(t) || minted && sameName(r.Name, t)"},
	{"revokes what was made by hand and never named", "survey.go",
		"	if r.Adopt == nil {\n		return false\n	}", "	if r.Adopt == nil {\n		return true\n	}"},
	{"retires before the verification", "plan.go",
		"	for i, v := range r.Verify {\n		p.add(Step{Do: Verify, At: v.String(), index: i})\n	}\n	r.planMarks(p)\n	for _, t := range p.superseded(r, obs, false) {\n		p.add(r.revocation(t))\n	}\n",
		"	for _, t := range p.superseded(r, obs, false) {\n		p.add(r.revocation(t))\n	}\n	for i, v := range r.Verify {\n		p.add(Step{Do: Verify, At: v.String(), index: i})\n	}\n	r.planMarks(p)\n"},
	{"takes an unproven verification for a passed one", "run.go",
		"	if err == nil {\n		x.passed++\n	}\n	return err", "	if errors.Is(err, ErrUnproven) {\n		return nil\n	}\n	return err"},
	{"takes a failed verification for a passed one", "run.go",
		"	if err == nil {\n		x.passed++\n	}\n	return err", "	_ = err\n	return nil"},
	{"revokes the newborn although a write had begun", "run.go",
		"	case len(x.begun) == 0:", "	case len(x.failed) > 0, len(x.begun) == 0:"},
	{"revokes the newborn although not every sink was put back", "restore.go",
		"	if err := errors.Join(errs...); err != nil {\n		x.res.Person", "	if err := errors.Join(errs...); false && err != nil {\n		x.res.Person"},
	{"does not deploy again what it restored", "restore.go",
		"	for i, v := range x.Verify {\n", "	for i, v := range x.Verify[:0] {\n"},
	{"does not wait for runs that carry the old value", "retire.go",
		"	if x.drained {\n		return nil", "	if true {\n		return nil"},
	{"forgets a verification that was held up", "decide.go",
		"	return d.unverified && len(d.veto) == 0", "	return false"},
	{"restores what is about to die", "restore.go",
		"		if !ok || !t.Expires", "		if ok && false && !t.Expires"},
	{"leaves the newborn of a failed proof alive", "run.go",
		"	case len(x.begun) == 0:\n		return errors.Join(err, x.revokeNewborn())", "	case len(x.begun) == 0:\n		return err"},
	{"repairs no sink that was forgotten", "decide.go",
		"			case newest.ID != \"\" && h.token.ID != newest.ID:", "			case false:"},
	{"never retires what an earlier run superseded", "plan.go",
		"	case len(d.retire) > 0 || d.verifies():", "	case false:"},
	{"does not look at the grace", "decide.go",
		"	if r.Grace > 0 && now.Before(end) {", "	if false {"},
	{"no back-off and no limit on live generations", "decide.go",
		"	case n >= r.maxRevoke():", "	case n >= 1000:"},
	{"no back-off", "decide.go",
		"	case n >= 4 && !d.urgent:", "	case false:"},
	{"a dead consumer does not make it due", "decide.go",
		"			because(i, \"holds a token that no longer works%s\", named(h.token))", "			d.next = obs.now"},
	{"lets two runs mint at once", "run.go",
		"			if _, before := x.obs.find(t.ID); x.owns(t) && !before && t.Name != name {", "			if false {"},
	{"believes what the sinks said before the run", "retire.go",
		"	if x.fresh != nil {\n		return nil\n	}", "	if x.fresh = x.obs.held; x.fresh != nil {\n		return nil\n	}"},
	{"mints again while another run may be alive", "decide.go",
		"	if !o.Alone && newest.ID", "	if false && newest.ID"},
	{"spares compromised tokens while a sink cannot be written", "retire.go",
		"			if x.written[i] || x.fresh != nil", "			if x.allWritten() || false && x.fresh != nil"},
	{"rotates whatever the age", "decide.go",
		"	case !now.Before(old):", "	case true:"},
	{"mints again when a mint failed", "run.go",
		"		c, err := x.Provider.Mint(ctx, name)\n", "		c, err := x.Provider.Mint(ctx, name)\n		if err != nil {\n			c, err = x.Provider.Mint(ctx, name)\n		}\n"},
	{"reports success after giving up", "run.go",
		"	if err := x.incomplete(); err != nil {\n		return err\n	}\n", ""},
	{"revokes what another run's sinks hold", "retire.go",
		"	case a.Mark.Token.ID == x.newborn.ID,", "	case true, a.Mark.Token.ID == x.newborn.ID,"},
	{"does not look for a newborn whose answer was lost", "run.go",
		"		x.newborn.Name, x.minted = name, true\n", ""},
	{"does what the plan did not say", "run.go",
		"	x.res.Outcome = Retired\n	if p.Due {", "	if p.Due && len(x.Verify) > 0 {\n		_ = x.Verify[0].Verify(ctx, x.newborn)\n	}\n	x.res.Outcome = Retired\n	if p.Due {"},
	{"marks as verified what was not", "plan.go",
		"	for i, v := range r.Verify {\n		p.add(Step{Do: Verify, At: v.String(), index: i})\n	}\n	r.planMarks(p)\n	for", "	r.planMarks(p)\n	for i, v := range r.Verify {\n		p.add(Step{Do: Verify, At: v.String(), index: i})\n	}\n	for"},
}

// TestMutants plants each mutant with an overlay and expects the tests to catch it. It compiles the engine once a
// mutant, so it runs only with REMINT_MUTANTS=1.
func TestMutants(t *testing.T) {
	if os.Getenv("REMINT_MUTANTS") == "" {
		t.Skip("set REMINT_MUTANTS=1 (about two minutes)")
	}
	engine, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	caught := 0
	for _, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			path := filepath.Join(engine, m.file)
			source, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if n := strings.Count(string(source), m.old); n != 1 {
				t.Fatalf("%s holds the text to be replaced %d times: %q", m.file, n, m.old)
			}
			dir := t.TempDir()
			patched := filepath.Join(dir, m.file)
			text := strings.Replace(string(source), m.old, m.new, 1)
			if err := os.WriteFile(patched, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			overlay, _ := json.Marshal(map[string]map[string]string{"Replace": {path: patched}})
			file := filepath.Join(dir, "overlay.json")
			if err := os.WriteFile(file, overlay, 0o600); err != nil {
				t.Fatal(err)
			}
			for _, args := range [][]string{{"-singles"}, {}} {
				out, err := exec.Command("go", append([]string{"test", "-vet=off", "-failfast", "-overlay", file, "-run", "TestWorld|TestPersistent", "."}, args...)...).CombinedOutput()
				if err == nil {
					continue
				}
				if strings.Contains(string(out), "[build failed]") {
					t.Fatalf("the mutant does not compile:\n%s", out)
				}
				caught++
				line, _, _ := strings.Cut(strings.TrimSpace(string(out)[strings.Index(string(out), "_test.go"):]), "\n")
				t.Logf("caught %v: %s", args, line)
				return
			}
			t.Error("not caught")
		})
	}
	t.Logf("%d of %d mutants caught", caught, len(mutants))
}
