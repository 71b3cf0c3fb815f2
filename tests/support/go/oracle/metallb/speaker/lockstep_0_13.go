//go:build lockstep_0_13

package main

import (
	"net"

	"github.com/go-kit/log"
	v1 "k8s.io/api/core/v1"

	"go.universe.tf/metallb/internal/config"
	"go.universe.tf/metallb/internal/k8s/epslices"
	"go.universe.tf/metallb/internal/oracle"
)

func resources(world *oracle.World) config.ClusterResources {
	resources := config.ClusterResources{
		Pools:   world.Pools,
		BGPAdvs: world.BGPAdvertisements,
		L2Advs:  world.L2Advertisements,
		Nodes:   world.Nodes,
	}
	world.Legacy(&resources.LegacyAddressPools)
	return resources
}

func (m *moment) UsableSpeakers() map[string]bool {
	if m.world.LacksMemberlist {
		return nil
	}
	return m.alive
}

func (m *moment) decide(node string, cfg *config.Config) *decisions {
	result := &decisions{}
	result.layer2.Protocol = &layer2Controller{myNode: node, sList: m}
	result.bgp.Protocol = &bgpController{myNode: node}
	speaker := newSpeaker(node, cfg, result)
	slices := epslices.EpsOrSlices{Type: epslices.Slices, SlicesVal: m.slices}
	speaker.SetBalancer(log.NewNopLogger(), m.world.Key(), m.world.Service, slices)
	return result
}

func (d *decision) ShouldAnnounce(l log.Logger, name string, ips []net.IP, pool *config.Pool, svc *v1.Service, eps epslices.EpsOrSlices) string {
	d.reason = d.Protocol.ShouldAnnounce(l, name, ips, pool, svc, eps)
	return d.reason
}

func (d *decision) SetBalancer(log.Logger, string, []net.IP, *config.Pool) error {
	d.announces = true
	return nil
}

func announcingNodes(cfg *config.Config) map[string][]advertised {
	pools := map[string][]advertised{}
	for name, pool := range cfg.Pools {
		pools[name] = []advertised{}
		for _, advertisement := range pool.L2Advertisements {
			pools[name] = append(pools[name], advertised{Nodes: names(advertisement.Nodes)})
		}
	}
	return pools
}
