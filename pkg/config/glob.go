package config

import "strings"

// Match reports whether a whole text matches a glob: * is any run of characters, ? is one, everything else is
// itself. It is what `adopt` and --only use; no character is special as in paths.
func Match(glob, text string) bool {
	g, t := []rune(glob), []rune(text)
	// On a mismatch, the last * takes one character more.
	star, from := -1, 0
	i, j := 0, 0
	for j < len(t) {
		switch {
		case i < len(g) && g[i] == '*':
			star, from = i, j
			i++
		case i < len(g) && (g[i] == '?' || g[i] == t[j]):
			i, j = i+1, j+1
		case star >= 0:
			from++
			i, j = star+1, from
		default:
			return false
		}
	}
	return strings.Trim(string(g[i:]), "*") == ""
}
