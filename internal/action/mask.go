package action

import (
	"strings"

	"github.com/sethvargo/go-githubactions"
)

// shortest is the length in bytes of the shortest text that is masked: hiding "main" or "1" would garble the log.
const shortest = 8

// Mask makes the runner hide text in the log of the rest of the job. It must come before the text's first use, and knows
// nothing of encodings: the caller passes every form. Outside a runner nothing happens.
//
// GitHub's runner hides the whole text and every line of it, and so does Gitea's. Forgejo's takes the command's data
// as it stands, still escaped, so that what has a "%" is given to it unescaped as well. Runners other than GitHub's
// print a command whose data holds "::", because they look for the last "::"; they get the parts between.
func (r *Runner) Mask(text string) {
	platform := r.Platform()
	if platform == None || len(strings.TrimSpace(text)) < shortest {
		return
	}
	if platform == GitHub {
		r.mask(text)
		return
	}
	for _, part := range maskable(text) {
		r.mask(part)
		if platform == Forgejo && strings.Contains(part, "%") && !escaped(part) {
			r.printMask("::add-mask::" + part + "\n")
		}
	}
}

func (r *Runner) mask(text string) {
	r.printMask(r.command(func(a *githubactions.Action) { a.AddMask(text) }))
}

func (r *Runner) printMask(command string) {
	if r.Masks == nil {
		r.print(command)
		return
	}
	r.printTo(r.Masks, command)
}

// maskable returns the parts of a secret that fit on one line of a command and are long enough to hide.
func maskable(text string) []string {
	var all []string
	for _, line := range strings.FieldsFunc(text, func(c rune) bool { return c == '\n' || c == '\r' }) {
		for part := range strings.SplitSeq(line, "::") {
			// A colon left at an end would make another "::" with the command's own.
			part = strings.Trim(strings.TrimSpace(part), ":")
			if len(part) >= shortest {
				all = append(all, part)
			}
		}
	}
	return all
}

// escaped reports whether a runner would change text when it decodes a command's data.
func escaped(text string) bool {
	return strings.Contains(text, "%0A") || strings.Contains(text, "%0D") || strings.Contains(text, "%25")
}
