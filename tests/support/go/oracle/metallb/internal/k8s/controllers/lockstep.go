//go:build !lockstep_0_13 && !lockstep_0_16

package controllers

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"go.universe.tf/metallb/internal/config"
)

// ParsesPerNode tells that the speakers parse different configurations.
const ParsesPerNode = false

// LockstepConfig parses the configuration as the speaker on the node does.
func LockstepConfig(resources config.ClusterResources, _ corev1.Node) (*config.Config, error) {
	return guarded(resources)
}

// LockstepPools parses the pools as the controller does.
func LockstepPools(resources config.ClusterResources) (*config.Config, error) {
	return guarded(resources)
}

// guarded parses the configuration, and returns an error that begins with
// `panic: ` where MetalLB ends instead.
func guarded(resources config.ClusterResources) (cfg *config.Config, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			cfg, err = nil, fmt.Errorf("panic: %v", cause)
		}
	}()
	return toConfig(resources, config.ValidationFor("frr"))
}
