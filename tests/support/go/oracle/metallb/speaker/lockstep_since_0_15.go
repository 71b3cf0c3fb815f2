//go:build !lockstep_0_13

package main

import (
	"net"

	"github.com/go-kit/log"
	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"

	"go.universe.tf/metallb/internal/config"
	"go.universe.tf/metallb/internal/oracle"
	"go.universe.tf/metallb/internal/speakerlist"
)

func resources(world *oracle.World) config.ClusterResources {
	return config.ClusterResources{
		Pools:      world.Pools,
		BGPAdvs:    world.BGPAdvertisements,
		L2Advs:     world.L2Advertisements,
		Nodes:      world.Nodes,
		Namespaces: world.Namespaces,
	}
}

func (m *moment) UsableSpeakers() speakerlist.SpeakerListInfo {
	if m.world.LacksMemberlist {
		return speakerlist.SpeakerListInfo{Disabled: true}
	}
	return speakerlist.SpeakerListInfo{Nodes: m.alive}
}

func (m *moment) decide(node string, cfg *config.Config) *decisions {
	ignores := m.world.IgnoresExcludeLabel
	result := &decisions{}
	result.layer2.Protocol = &layer2Controller{myNode: node, ignoreExcludeLB: ignores, sList: m}
	result.bgp.Protocol = &bgpController{myNode: node, ignoreExcludeLB: ignores}
	speaker := newSpeaker(node, cfg, result)
	speaker.nodes = m.nodes
	speaker.SetBalancer(log.NewNopLogger(), m.world.Key(), m.world.Service, m.slices)
	return result
}

func (d *decision) ShouldAnnounce(l log.Logger, name string, ips []net.IP, pool *config.Pool, svc *v1.Service, slices []discovery.EndpointSlice, nodes map[string]*v1.Node) string {
	d.reason = d.Protocol.ShouldAnnounce(l, name, ips, pool, svc, slices, nodes)
	return d.reason
}

func (d *decision) SetBalancer(log.Logger, string, []net.IP, *config.Pool, service, *v1.Service) error {
	d.announces = true
	return nil
}

func announcingNodes(cfg *config.Config) map[string][]advertised {
	pools := map[string][]advertised{}
	for name, pool := range cfg.Pools.ByName {
		pools[name] = []advertised{}
		for _, advertisement := range pool.L2Advertisements {
			pools[name] = append(pools[name], advertised{names(advertisement.Nodes), preferred(advertisement)})
		}
	}
	return pools
}
