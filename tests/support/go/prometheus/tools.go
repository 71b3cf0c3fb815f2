//go:build tools

// Package tools names Prometheus' promtool, which the tests run, so that go.mod
// and go.sum cover everything it is built from. It is never built.
package tools

import _ "github.com/prometheus/prometheus/cmd/promtool"
