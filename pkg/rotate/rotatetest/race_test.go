//go:build race

package rotatetest

const raceEnabled = true
