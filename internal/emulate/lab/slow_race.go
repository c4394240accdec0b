//go:build race

package lab

// slowness is by how much longer everything takes with the race detector.
const slowness = 5
