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
	source   string // where the bug is known from; "": a clause of this engine taken away
}

var mutants = []mutant{
	{"revokes the old token before anything is written", "plan.go",
		"	order := r.order()\n", "	for _, t := range p.superseded(r, obs, take, false) {\n		p.add(r.revocation(t))\n	}\n	order := r.order()\n", manualProcedure},
	{"does not ask whether a token is older than what every sink holds", "retire.go",
		"	if !t.Created.Before(low.Created) && !x.listless() || t.ID == low.ID {", "	if false {", ""},
	{"forgets the sinks it did not write", "retire.go",
		"	low, ok := floor(x.fresh)\n	if !ok {", "	low, ok := x.newborn.Token, true\n	if !ok {", "manual procedure for Fly: three consumers, two rotated"},
	{"revokes by name without its fingerprint", "name.go",
		"&& strings.HasPrefix(end, tail(id))", "&& end != \"\"", "\"delete where name = X\": step 2 of the manual procedure for Fastly, old and new have one name"},
	{"takes minted names of others for adopted ones", "survey.go",
		"	return !minted && r.Adopt(t)", "	return !minted && r.Adopt(t) || minted && sameName(r.Name, t)", ""},
	{"revokes what was made by hand and never named", "survey.go",
		"	if r.Adopt == nil {\n		return false\n	}", "	if r.Adopt == nil {\n		return true\n	}", ""},
	{"retires before the verification", "plan.go",
		"	r.planVerify(p)\n	r.planMarks(p)\n	for _, t := range p.superseded(r, obs, take, false) {\n		p.add(r.revocation(t))\n	}\n",
		"	for _, t := range p.superseded(r, obs, take, false) {\n		p.add(r.revocation(t))\n	}\n	r.planVerify(p)\n	r.planMarks(p)\n", "scripts that delete as soon as the new value is stored"},
	{"takes an unproven verification for a passed one", "run.go",
		"	if err == nil {\n		x.passed++\n	}\n	return err", "	if errors.Is(err, ErrUnproven) {\n		return nil\n	}\n	return err", ""},
	{"takes a failed verification for a passed one", "run.go",
		"	if err == nil {\n		x.passed++\n	}\n	return err", "	_ = err\n	return nil", "manual procedure for Fly: a health check that ends in || echo"},
	{"revokes the newborn although a write had begun", "run.go",
		"	case len(x.begun) == 0:", "	case len(x.failed) > 0, len(x.begun) == 0:", ""},
	{"revokes the newborn although not every sink was put back", "restore.go",
		"	if err := errors.Join(errs...); err != nil {\n		x.res.Person", "	if err := errors.Join(errs...); false && err != nil {\n		x.res.Person", ""},
	{"does not deploy again what it restored", "restore.go",
		"	for i := 0; i < len(x.Verify); i++ {\n", "	for i := len(x.Verify); i < len(x.Verify); i++ {\n", ""},
	{"does not wait for runs that carry the old value", "retire.go",
		"	if x.drained {\n		return nil", "	if true {\n		return nil", "GitHub reads secrets when a run is queued"},
	{"forgets a verification that was held up", "decide.go",
		"	return d.unverified && len(d.veto) == 0", "	return false", ""},
	{"restores what is about to die", "restore.go",
		"		if !ok || !t.Expires", "		if ok && false && !t.Expires", ""},
	{"leaves the newborn of a failed proof alive", "run.go",
		"	case len(x.begun) == 0:\n		return errors.Join(err, x.revokeNewborn())", "	case len(x.begun) == 0:\n		return err", ""},
	{"repairs no sink that was forgotten", "decide.go",
		"			case newest.ID != \"\" && h.token.ID != newest.ID:", "			case false:", "manual procedure for Fly: the CI copy not synced"},
	{"never retires what an earlier run superseded", "plan.go",
		"	case len(d.retire) > 0 || d.verifies():", "	case false:", "forgotten old tokens"},
	{"does not look at the grace", "decide.go",
		"	if r.Grace > 0 && now.Before(end) {", "	if false {", ""},
	{"writes although the only place for a former value is taken", "listless.go",
		"	if !d.due || !r.listless() {", "	if true {", "two rotations of a webhook key in one day: the first value was still in use"},
	{"puts a value back and drops the one that consumers took up", "../../internal/keeping/keeping.go",
		"	back := State{Value: u.from.Value, Former: u.to.Value}", "	back := State{Value: u.from.Value, Former: u.from.Value}", "a rolled back deploy of a shared key"},
	{"writes beside a rival that it cannot see", "../../internal/keeping/keeping.go",
		"		if now != *k.told {", "		if false {", ""},
	{"takes what was put back for verified", "../../internal/keeping/keeping.go",
		"	back.Note = k.note(back, rotate.Mark{Token: u.old}, rotate.Mark{Token: u.new})", "	back.Note = k.note(back, rotate.Mark{Token: u.old, Verified: true}, rotate.Mark{Token: u.new})", ""},
	{"no back-off and no limit on live generations", "decide.go",
		"	case n >= r.maxRevoke():", "	case n >= 1000:", "account limit of 100 tokens reached by strays"},
	{"no back-off", "decide.go",
		"	case n >= 4 && !d.urgent:", "	case false:", ""},
	{"a dead consumer does not make it due", "decide.go",
		"			because(i, \"holds a token that no longer works%s\", named(h.token))", "			d.next = obs.now", ""},
	{"lets two runs mint at once", "run.go",
		"			if _, before := x.obs.find(t.ID); x.owns(t) && !before && t.Name != name {", "			if false {", ""},
	{"believes what the sinks said before the run", "retire.go",
		"	if x.fresh != nil {\n		return nil\n	}", "	if x.fresh = x.obs.held; x.fresh != nil {\n		return nil\n	}", ""},
	{"mints again while another run may be alive", "decide.go",
		"	if !o.Alone && newest.ID", "	if false && newest.ID", "two schedules, or a re-run beside a scheduled run"},
	{"spares compromised tokens while a sink cannot be written", "retire.go",
		"		for i := range x.Sinks {\n			if x.fresh == nil", "		if !x.allWritten() {\n			return \"a sink could not be written\"\n		}\n		for i := range x.Sinks {\n			if x.fresh == nil", ""},
	{"rotates whatever the age", "decide.go",
		"	case !now.Before(old):", "	case true:", "cron at the interval"},
	{"mints again when a mint failed", "run.go",
		"		c, err := x.Provider.Mint(ctx, name)\n", "		c, err := x.Provider.Mint(ctx, name)\n		if err != nil {\n			c, err = x.Provider.Mint(ctx, name)\n		}\n", "fly-go and HTTP clients that retry a POST"},
	{"reports success after giving up", "run.go",
		"	if err := x.incomplete(); err != nil {\n		return err\n	}\n", "", "flyctl tokens revoke prints the failure and exits 0"},
	{"revokes what another run's sinks hold", "retire.go",
		"	case a.Mark.Token.ID == x.newborn.ID,", "	case true, a.Mark.Token.ID == x.newborn.ID,", ""},
	{"does not look for a newborn whose answer was lost", "run.go",
		"		x.newborn.Name, x.minted = name, true\n", "", ""},
	{"does what the plan did not say", "run.go",
		"	x.res.Outcome = Retired\n	if p.Due {", "	if p.Due && len(x.Verify) > 0 {\n		_ = x.Verify[0].Verify(ctx, x.newborn)\n	}\n	x.res.Outcome = Retired\n	if p.Due {", ""},
	{"marks as verified what was not", "plan.go",
		"	r.planVerify(p)\n	r.planMarks(p)\n	for _, t := range p.superseded(r, obs, take, false)", "	r.planMarks(p)\n	r.planVerify(p)\n	for _, t := range p.superseded(r, obs, take, false)", ""},
	// What a person hands in.
	{"takes what was handed in although it is older than what is held", "decide.go",
		"newest.ID != h.token.ID && !older(newest, h.token):", "false:", ""},
	{"revokes what a person made when the verification failed", "run.go",
		"	if x.taken {\n		x.res.Left = append(x.res.Left, fmt.Sprintf(\"%s, which was handed in, lives on and", "	if false {\n		x.res.Left = append(x.res.Left, fmt.Sprintf(\"%s, which was handed in, lives on and", ""},
	{"takes a handed-in token beside a run that is taking it", "decide.go",
		"newest.ID != \"\" && begun && obs.now", "newest.ID != \"\" && begun && r.HandIn == nil && obs.now", ""},
	{"takes a compromised token that was handed in", "decide.go",
		"	case h.token.Created.Before(compromised):", "	case false:", ""},
	{"mints where a person must", "plan.go",
		"	if r.HandIn != nil {\n		p.add(Step{Do: Taking", "	if false {\n		p.add(Step{Do: Taking", "accounts with forced SSO"},
	// Services that keep no names.
	{"takes nameless tokens for nobody's", "survey.go",
		"			return r.Adopt != nil && r.Adopt(t)\n", "			return false\n", "Signon's tokens have no name"},
	// Attempts.
	{"verifies without end", "run.go",
		"x.attempt+1 >= x.attempts()", "x.attempt+1 >= 9", "retry loops without a bound"},
	{"repeats a verification that could not say", "run.go",
		"	if errors.Is(err, ErrUnproven) || ctx.Err() != nil || x.attempt+1", "	if ctx.Err() != nil || x.attempt+1", ""},
	// Looking.
	{"takes a list that shows nothing for the truth", "survey.go",
		"	if !ok {\n		return h, &Error{\"survey\", s.String(), fmt.Errorf(", "	if false {\n		return h, &Error{\"survey\", s.String(), fmt.Errorf(", "a list of one page; flyctl lists app scope only"},
	{"takes whose a secret is for known when it is not", "survey.go",
		"	if t.ID == \"\" {\n		h.state = unclear\n		return h, nil\n	}", "	if t.ID == \"\" {\n		for _, l := range obs.listed {\n			t = l\n		}\n	}", "Fly.io's creation returns no id"},
	{"trusts its clock", "survey.go",
		"ok && (skew > maxSkew || skew < -maxSkew)", "ok && false", "expiry computed, not read"},
	{"does not look whether the provider's clock jumped at the mint", "run.go",
		"off > maxSkew+pause || off < -maxSkew-time.Since(x.res.Begun)", "false", ""},
	{"does not wait until the newborn is listed", "run.go",
		"		found := false\n		for _, t := range listed {", "		found := len(listed) == 0\n		for _, t := range listed {", "lists that lag, as Fly.io's"},
	// Failing.
	{"revokes the newborn although a sink says that it holds it", "restore.go",
		"		if h.token.ID == x.newborn.ID || h.state == unclear {", "		if false && h.state == unclear {", ""},
	{"restores what somebody revoked", "restore.go",
		"		if !ok || !t.Expires.IsZero() && t.Expires.Before(now.now.Add(2*Tick)) {", "		if ok && !t.Expires.IsZero() && t.Expires.Before(now.now.Add(2*Tick)) {", ""},
	{"tells nobody that consumers are broken", "report.go",
		"		if h.state == dead && !x.written[i] && res.Outcome != Rotated {\n			res.Person = true", "		if h.state == dead && !x.written[i] && res.Outcome != Rotated {\n			res.Person = false", ""},
	{"tells nobody that a compromised token lives on", "report.go",
		"		if t.Created.Before(x.plan.emergency) && (x.owns(t) || x.adopts(t)) && !x.gone(t) {\n			x.res.Person = true", "		if t.Created.Before(x.plan.emergency) && (x.owns(t) || x.adopts(t)) && !x.gone(t) {\n			x.res.Person = false", ""},
	{"revokes compromised tokens only after the verification", "plan.go",
		"	for _, t := range p.superseded(r, obs, take, true) {\n		p.add(r.revocation(t))\n	}\n	r.planVerify(p)\n", "	r.planVerify(p)\n	for _, t := range p.superseded(r, obs, take, true) {\n		p.add(r.revocation(t))\n	}\n", ""},
	{"leaves out a step that it planned", "run.go",
		"		if s.Do == Check {\n			continue\n		}\n		if err := x.boundary", "		if s.Do == Check || s.Do == Marking {\n			continue\n		}\n		if err := x.boundary", ""},
	{"believes a place that lies about a write", "retire.go",
		"			} else if x.fresh[i].state == known && !x.fresh[i].token.Created.Before(x.plan.emergency) {", "			} else if x.written[i] || x.fresh[i].state == known && !x.fresh[i].token.Created.Before(x.plan.emergency) {", ""},
}

// manualProcedure is where a token was deleted before its successor existed.
const manualProcedure = "step 3 of the manual procedure for Fastly: the old key deleted first"

// TestMutants plants each mutant with an overlay and expects the tests to catch it. It compiles the engine once a
// mutant, so it runs only with REMINT_MUTANTS=1. What caught a mutant before is tried first; with REMINT_MUTANTS=quick
// nothing else is.
func TestMutants(t *testing.T) {
	if os.Getenv("REMINT_MUTANTS") == "" {
		t.Skip("set REMINT_MUTANTS=1 (about five minutes)")
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
			patched := filepath.Join(dir, filepath.Base(m.file))
			text := strings.Replace(string(source), m.old, m.new, 1)
			if err := os.WriteFile(patched, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			overlay, _ := json.Marshal(map[string]map[string]string{"Replace": {path: patched}})
			file := filepath.Join(dir, "overlay.json")
			if err := os.WriteFile(file, overlay, 0o600); err != nil {
				t.Fatal(err)
			}
			try := func(env []string, pkg string, args ...string) (caught string) {
				cmd := exec.Command("go", append([]string{"test", "-vet=off", "-ldflags=-w", "-failfast", "-timeout", "20m", "-overlay", file, pkg}, args...)...)
				cmd.Env = append(os.Environ(), env...)
				out, err := cmd.CombinedOutput()
				if err == nil {
					return ""
				}
				text := string(out)
				if strings.Contains(text, "[build failed]") || strings.Contains(text, "no topology") {
					t.Fatalf("the mutant does not compile, or what should catch it is not there:\n%s", out)
				}
				for line := range strings.Lines(text) {
					if strings.Contains(line, "_test.go:") {
						return strings.TrimSpace(line)
					}
				}
				return strings.TrimSpace(text)
			}
			found := ""
			if at := catches[m.name]; at != "" {
				topology, schedule, _ := strings.Cut(at, " | ")
				found = try([]string{"REMINT_TOPOLOGY=" + topology, "REMINT_SCHEDULE=" + schedule}, ".", "-run", "^TestSchedule$")
			}
			if found == "" { // the engine's own tests
				found = try(nil, "..")
			}
			for _, args := range [][]string{{"-run", "TestWorld", "-singles"}, {"-run", "TestPersistent"}, {"-run", "TestWorld"}, {"-run", "TestRivals|TestRandom"}} {
				if found == "" && os.Getenv("REMINT_MUTANTS") != "quick" {
					found = try(nil, ".", args...)
				}
			}
			if found != "" {
				caught++
				t.Logf("caught: %s", found)
				if m.source != "" {
					t.Logf("known from: %s", m.source)
				}
				return
			}
			t.Error("not caught")
		})
	}
	t.Logf("%d of %d mutants caught", caught, len(mutants))
}
