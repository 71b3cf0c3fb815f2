package controllers

import (
	"fmt"

	"go.universe.tf/metallb/internal/config"
)

// LockstepConfig parses the configuration as the speakers do, and the pools
// alone as the controller does. The error begins with `panic: ` where MetalLB
// ends instead.
func LockstepConfig(resources config.ClusterResources) (cfg *config.Config, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			cfg, err = nil, fmt.Errorf("panic: %v", cause)
		}
	}()
	return toConfig(resources, config.ValidationFor("frr"))
}
