package dispatch

import (
	"context"
)

// Check implements [rotate.Checker]: the workflow exists, is enabled, and its runs can be read. That the
// credential may dispatch shows only on Forgejo and Gitea, and for classic tokens of GitHub; whether the
// workflow has the trigger shows with the dispatch.
func (w *Workflow) Check(ctx context.Context) error {
	h, err := w.connect()
	if err != nil {
		return w.fault("check", err)
	}
	if n := len(w.Inputs); w.forge() == "forgejo" && n > forgejoInputs {
		w.warnings.Add("%d inputs; Forgejo takes %d unless its LIMIT_DISPATCH_INPUTS says otherwise", n, forgejoInputs)
	}
	branch, err := h.check(ctx, w.Ref)
	if err != nil {
		return w.fault("check", err)
	}
	if branch != "" {
		w.know(branch)
	}
	return nil
}
