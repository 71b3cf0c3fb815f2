//go:build lockstep_0_13

package controllers

import "go.universe.tf/metallb/internal/config"

// Later releases have this function.
func toConfig(resources config.ClusterResources, validate config.Validate) (*config.Config, error) {
	return config.For(resources, validate)
}
