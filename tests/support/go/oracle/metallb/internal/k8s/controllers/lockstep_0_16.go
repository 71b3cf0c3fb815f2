//go:build lockstep_0_16

package controllers

import (
	corev1 "k8s.io/api/core/v1"

	"go.universe.tf/metallb/internal/config"
)

// ParsesPerNode tells that the speakers parse different configurations.
const ParsesPerNode = true

func speakerConfig(resources config.ClusterResources, node corev1.Node) (*config.Config, error) {
	own, err := filterBGPAdvertisementsByNode(resources.BGPAdvs, node)
	if err != nil {
		return nil, err
	}
	resources.BGPAdvs = own
	return controllerConfig(resources)
}

func controllerConfig(resources config.ClusterResources) (*config.Config, error) {
	return toConfig(resources, config.ValidationFor("frr-k8s"), config.ForOptions{})
}
