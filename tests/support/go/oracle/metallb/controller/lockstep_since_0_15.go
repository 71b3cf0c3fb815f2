//go:build !lockstep_0_13

package main

import (
	"slices"

	"github.com/go-kit/log"
	v1 "k8s.io/api/core/v1"

	"go.universe.tf/metallb/api/v1beta1"
	"go.universe.tf/metallb/internal/allocator"
	"go.universe.tf/metallb/internal/config"
	"go.universe.tf/metallb/internal/oracle"
)

func resources(world *oracle.World) config.ClusterResources {
	return config.ClusterResources{Pools: world.Pools, Namespaces: world.Namespaces}
}

func without(resources config.ClusterResources, pool string) config.ClusterResources {
	resources.Pools = slices.DeleteFunc(slices.Clone(resources.Pools), func(held v1beta1.IPAddressPool) bool {
		return held.Name == pool
	})
	return resources
}

func newController() *controller {
	return &controller{client: oracle.Silent{}, ips: allocator.New(func(string) {})}
}

func set(own *controller, key string, service *v1.Service) {
	own.SetBalancer(log.NewNopLogger(), key, service, nil)
}
