package main

import (
	"github.com/go-kit/log"
	v1 "k8s.io/api/core/v1"

	"go.universe.tf/metallb/internal/config"
	"go.universe.tf/metallb/internal/k8s/controllers"
	"go.universe.tf/metallb/internal/oracle"
)

func init() {
	oracle.Main(func(world *oracle.World) any { return answerFor(world) })
}

// answer is what the controller of a world does.
type answer struct {
	// Rejected tells why the controller rejects the pools.
	Rejected string `json:"rejected"`
	// Pools are the pools that the Service gets addresses of, each after those
	// before it are gone.
	Pools []string `json:"pools"`
}

func answerFor(world *oracle.World) *answer {
	result := &answer{}
	wanted := resources(world)
	if _, err := controllers.LockstepPools(wanted); err != nil {
		result.Rejected = err.Error()
		return result
	}
	for {
		cfg, err := controllers.LockstepPools(wanted)
		if err != nil {
			// The pools are a part of those that were accepted.
			panic(err)
		}
		pool := poolOf(world, cfg)
		if pool == "" {
			return result
		}
		result.Pools = append(result.Pools, pool)
		wanted = without(wanted, pool)
	}
}

// poolOf is the pool that the Service gets its first addresses of.
func poolOf(world *oracle.World, cfg *config.Config) string {
	own := newController()
	own.SetPools(log.NewNopLogger(), cfg.Pools)
	service := world.Service.DeepCopy()
	service.Status = v1.ServiceStatus{}
	set(own, world.Key(), service)
	return own.ips.Pool(world.Key())
}
