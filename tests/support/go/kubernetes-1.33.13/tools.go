//go:build tools

// Package tools names the program of Kubernetes that the tests run, so that
// go.mod and go.sum cover everything it is built from. It is never built.
package tools

import (
	_ "k8s.io/kubernetes/cmd/kube-apiserver"
)
