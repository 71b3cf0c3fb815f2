//go:build lockstep_0_13

package main

import (
	"github.com/go-kit/log"
	v1 "k8s.io/api/core/v1"

	"go.universe.tf/metallb/api/v1beta1"
	"go.universe.tf/metallb/internal/allocator"
	"go.universe.tf/metallb/internal/config"
	"go.universe.tf/metallb/internal/k8s/epslices"
	"go.universe.tf/metallb/internal/oracle"
)

func resources(world *oracle.World) config.ClusterResources {
	resources := config.ClusterResources{Pools: world.Pools}
	world.Legacy(&resources.LegacyAddressPools)
	return resources
}

func without(resources config.ClusterResources, pool string) config.ClusterResources {
	var pools []v1beta1.IPAddressPool
	for _, held := range resources.Pools {
		if held.Name != pool {
			pools = append(pools, held)
		}
	}
	var legacy []v1beta1.AddressPool
	for _, held := range resources.LegacyAddressPools {
		if held.Name != pool {
			legacy = append(legacy, held)
		}
	}
	resources.Pools, resources.LegacyAddressPools = pools, legacy
	return resources
}

func newController() *controller {
	return &controller{client: oracle.Silent{}, ips: allocator.New()}
}

func set(own *controller, key string, service *v1.Service) {
	own.SetBalancer(log.NewNopLogger(), key, service, epslices.EpsOrSlices{})
}
