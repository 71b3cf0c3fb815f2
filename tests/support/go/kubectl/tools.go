//go:build tools

// Package tools names kubectl, so that go.mod and go.sum cover everything it is built from. It is never built.
package tools

import (
	_ "k8s.io/kubernetes/cmd/kubectl"
)
