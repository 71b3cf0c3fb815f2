//go:build tools

// Package tools names the programs of MetalLB that the tests run, so that
// go.mod and go.sum cover everything they are built from. It is never built.
package tools

import (
	_ "go.universe.tf/metallb/controller"
	_ "go.universe.tf/metallb/speaker"
)
