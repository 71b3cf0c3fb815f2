//go:build tools

// Package tools names Helm's program, which the tests run, so that go.mod and
// go.sum cover everything it is built from. It is never built.
package tools

import _ "helm.sh/helm/v4/cmd/helm"
