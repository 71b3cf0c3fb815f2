//go:build !lockstep_0_16

package controllers

import (
	corev1 "k8s.io/api/core/v1"

	"go.universe.tf/metallb/internal/config"
)

// ParsesPerNode tells that the speakers parse different configurations.
const ParsesPerNode = false

func speakerConfig(resources config.ClusterResources, _ corev1.Node) (*config.Config, error) {
	return controllerConfig(resources)
}

func controllerConfig(resources config.ClusterResources) (*config.Config, error) {
	return toConfig(resources, config.ValidationFor("frr"))
}
