// Package frr stands in for MetalLB's own, which needs a release of frr-k8s
// that the Go module proxy does not serve. What announces by BGP is the same
// for every backend; this one opens no sessions.
package frr

import (
	"errors"

	"github.com/go-kit/log"
	frrv1beta1 "github.com/metallb/frr-k8s/api/v1beta1"

	"go.universe.tf/metallb/internal/bgp"
	"go.universe.tf/metallb/internal/logging"
)

// NewSessionManager is never called.
func NewSessionManager(log.Logger, logging.Level, string, string) bgp.SessionManager {
	panic("there is no backend")
}

// ConfigName is never called.
func ConfigName(node string) string { return node }

// ConfigToDump is never called.
func ConfigToDump(frrv1beta1.FRRConfiguration) (string, error) {
	return "", errors.New("there is no backend")
}
