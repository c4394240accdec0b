// Slim writes the extract of GitHub's OpenAPI description that the contract tests run with:
//
//	npm install @octokit/openapi@23.0.2
//	go run ./internal/emulate/github/contract/slim node_modules/@octokit/openapi/generated/api.github.com.json \
//		> internal/emulate/github/contract/testdata/api.github.com.json
package main

import (
	"fmt"
	"os"

	"github.com/remint-dev/remint/internal/emulate/github/contract"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: slim api.github.com.json > extract.json")
		os.Exit(2)
	}
	origin, err := os.ReadFile(os.Args[1]) // #nosec G703 -- a generator, run by hand
	if err == nil {
		var out []byte
		if out, err = contract.Slim(origin); err == nil {
			_, err = os.Stdout.Write(append(out, '\n'))
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
