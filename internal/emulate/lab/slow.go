//go:build !race

package lab

const slowness = 1
