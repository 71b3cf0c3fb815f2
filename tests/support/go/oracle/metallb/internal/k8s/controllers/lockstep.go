package controllers

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"go.universe.tf/metallb/internal/config"
)

// LockstepConfig parses the configuration as the speaker on the node does. The
// error begins with `panic: ` where MetalLB ends instead.
func LockstepConfig(resources config.ClusterResources, node corev1.Node) (cfg *config.Config, err error) {
	defer recovered(&err)
	return speakerConfig(resources, node)
}

// LockstepPools parses the pools as the controller does, with the same errors.
func LockstepPools(resources config.ClusterResources) (cfg *config.Config, err error) {
	defer recovered(&err)
	return controllerConfig(resources)
}

func recovered(err *error) {
	if cause := recover(); cause != nil {
		*err = fmt.Errorf("panic: %v", cause)
	}
}
