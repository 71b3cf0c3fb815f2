package main

import (
	"net"
	"slices"

	"github.com/go-kit/log"
	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"

	"go.universe.tf/metallb/internal/config"
	"go.universe.tf/metallb/internal/k8s/controllers"
	"go.universe.tf/metallb/internal/oracle"
	"go.universe.tf/metallb/internal/speakerlist"
)

func init() {
	oracle.Main(func(world *oracle.World) any { return answerFor(world) })
}

// answer is what the speakers of a world do.
type answer struct {
	// Rejected tells for each node why its speaker rejects the configuration.
	Rejected []string `json:"rejected"`
	// RejectedPools tells why the controller rejects the pools.
	RejectedPools string `json:"rejectedPools"`
	// Pools are the nodes of the L2 advertisements of each pool.
	Pools map[string][][]string `json:"pools"`
	// Layer2 are the nodes whose speaker announces the Service by layer 2.
	Layer2 []string `json:"layer2"`
	// Ranking are the nodes in the order in which they are elected, each after
	// those before it are gone.
	Ranking []string `json:"ranking"`
	// BGP are the nodes whose speaker announces the Service by BGP.
	BGP []string `json:"bgp"`
	// Reasons are MetalLB's words why the speaker of each node does not
	// announce, by layer 2 and by BGP.
	Reasons [][2]string `json:"reasons"`
}

// moment is what the speakers know at one time.
type moment struct {
	world *oracle.World
	// alive are the members of the memberlist.
	alive map[string]bool
	nodes map[string]*v1.Node
}

// decisions are what one speaker does with the Service.
type decisions struct {
	layer2, bgp decision
}

// decision records what a protocol decides, and announces nothing.
type decision struct {
	Protocol
	announces bool
	reason    string
}

func (d *decision) DeleteBalancer(log.Logger, string, string) error { return nil }

// silent is a Kubernetes client that drops events.
type silent struct{}

func (silent) UpdateStatus(*v1.Service) error             { return nil }
func (silent) Infof(*v1.Service, string, string, ...any)  {}
func (silent) Errorf(*v1.Service, string, string, ...any) {}

func answerFor(world *oracle.World) *answer {
	result := &answer{}
	pools := config.ClusterResources{Pools: world.Pools, Namespaces: world.Namespaces}
	if _, err := controllers.LockstepConfig(pools); err != nil {
		result.RejectedPools = err.Error()
	}
	cfg, err := controllers.LockstepConfig(resources(world))
	for range world.Nodes {
		reason := ""
		if err != nil {
			reason = err.Error()
		}
		result.Rejected = append(result.Rejected, reason)
	}
	if err != nil {
		return result
	}
	result.Pools = announcingNodes(cfg)

	now := momentOf(world)
	for _, node := range world.Nodes {
		decided := now.decide(node.Name, cfg)
		if decided.layer2.announces {
			result.Layer2 = append(result.Layer2, node.Name)
		}
		if decided.bgp.announces {
			result.BGP = append(result.BGP, node.Name)
		}
		result.Reasons = append(result.Reasons, [2]string{decided.layer2.reason, decided.bgp.reason})
	}

	fewer := momentOf(world)
	for winner := fewer.elected(cfg); winner != ""; winner = fewer.elected(cfg) {
		result.Ranking = append(result.Ranking, winner)
		delete(fewer.alive, winner)
		delete(fewer.nodes, winner)
	}
	return result
}

func resources(world *oracle.World) config.ClusterResources {
	return config.ClusterResources{
		Pools:      world.Pools,
		BGPAdvs:    world.BGPAdvertisements,
		L2Advs:     world.L2Advertisements,
		Nodes:      world.Nodes,
		Namespaces: world.Namespaces,
	}
}

func momentOf(world *oracle.World) *moment {
	now := &moment{world: world, alive: map[string]bool{}, nodes: map[string]*v1.Node{}}
	for _, name := range world.Speakers {
		now.alive[name] = true
	}
	for i := range world.Nodes {
		now.nodes[world.Nodes[i].Name] = &world.Nodes[i]
	}
	return now
}

// elected is the node whose speaker announces by layer 2.
func (m *moment) elected(cfg *config.Config) string {
	for _, node := range m.world.Nodes {
		if m.nodes[node.Name] != nil && m.decide(node.Name, cfg).layer2.announces {
			return node.Name
		}
	}
	return ""
}

func (m *moment) UsableSpeakers() speakerlist.SpeakerListInfo {
	if m.world.LacksMemberlist {
		return speakerlist.SpeakerListInfo{Disabled: true}
	}
	return speakerlist.SpeakerListInfo{Nodes: m.alive}
}

func (m *moment) Rejoin() {}

func (m *moment) decide(node string, cfg *config.Config) *decisions {
	ignores := m.world.IgnoresExcludeLabel
	result := &decisions{}
	result.layer2.Protocol = &layer2Controller{myNode: node, ignoreExcludeLB: ignores, sList: m}
	result.bgp.Protocol = &bgpController{myNode: node, ignoreExcludeLB: ignores}
	speaker := &controller{
		myNode:           node,
		nodes:            m.nodes,
		config:           cfg,
		client:           silent{},
		protocolHandlers: map[config.Proto]Protocol{config.Layer2: &result.layer2, config.BGP: &result.bgp},
		announced:        map[config.Proto]map[string]bool{config.Layer2: {}, config.BGP: {}},
		svcIPs:           map[string][]net.IP{},
		protocols:        []config.Proto{config.BGP, config.Layer2},
	}
	speaker.SetBalancer(log.NewNopLogger(), m.world.Key(), m.world.Service, m.world.Slices)
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

func announcingNodes(cfg *config.Config) map[string][][]string {
	pools := map[string][][]string{}
	for name, pool := range cfg.Pools.ByName {
		pools[name] = [][]string{}
		for _, advertisement := range pool.L2Advertisements {
			pools[name] = append(pools[name], names(advertisement.Nodes))
		}
	}
	return pools
}

// names are the nodes of a set.
func names(set map[string]bool) []string {
	names := []string{}
	for name, isIn := range set {
		if isIn {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
