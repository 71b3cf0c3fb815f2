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
)

func init() {
	oracle.Main(func(world *oracle.World) any { return answerFor(world) })
}

// answer is what the speakers of a world do.
type answer struct {
	// Rejected tells for each node why its speaker rejects the configuration.
	Rejected []string `json:"rejected"`
	// Pools are the nodes of the L2 advertisements of each pool.
	Pools map[string][]advertised `json:"pools"`
	// Layer2 are the nodes whose speaker announces the Service by layer 2.
	Layer2 []string `json:"layer2"`
	// Ranking are the nodes in the order in which they are elected, each after
	// those before it are gone.
	Ranking []string `json:"ranking"`
	// Next announces if the elected node fails, with its pods.
	Next string `json:"next"`
	// RunnerUp announces if the elected node's speaker stops.
	RunnerUp string `json:"runnerUp"`
	// BGP are the nodes whose speaker announces the Service by BGP.
	BGP []string `json:"bgp"`
	// Reasons are MetalLB's words why the speaker of each node does not
	// announce, by layer 2 and by BGP.
	Reasons [][2]string `json:"reasons"`
}

// advertised is an L2 advertisement of a pool.
type advertised struct {
	Nodes     []string         `json:"nodes"`
	Preferred map[string]int64 `json:"preferred"`
}

// moment is what the speakers know at one time.
type moment struct {
	world *oracle.World
	// alive are the members of the memberlist.
	alive  map[string]bool
	nodes  map[string]*v1.Node
	slices []discovery.EndpointSlice
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

func answerFor(world *oracle.World) *answer {
	configs, result := parse(world)
	known := slices.IndexFunc(configs, func(cfg *config.Config) bool { return cfg != nil })
	if known < 0 {
		return result
	}
	// Layer 2 is the same in every configuration that is accepted.
	common := configs[known]
	result.Pools = announcingNodes(common)

	now := momentOf(world)
	for i, node := range world.Nodes {
		if configs[i] == nil {
			result.Reasons = append(result.Reasons, [2]string{"rejected", "rejected"})
			continue
		}
		decided := now.decide(node.Name, configs[i])
		if decided.layer2.announces {
			result.Layer2 = append(result.Layer2, node.Name)
		}
		if decided.bgp.announces {
			result.BGP = append(result.BGP, node.Name)
		}
		result.Reasons = append(result.Reasons, [2]string{decided.layer2.reason, decided.bgp.reason})
	}

	fewer := momentOf(world)
	for {
		winner := fewer.elected(common, "")
		if winner == "" {
			break
		}
		result.Ranking = append(result.Ranking, winner)
		delete(fewer.alive, winner)
		delete(fewer.nodes, winner)
	}
	if len(result.Ranking) > 0 {
		winner := result.Ranking[0]
		after := momentOf(world)
		delete(after.alive, winner)
		result.RunnerUp = after.elected(common, winner)
		after.slices = withoutNode(world.Slices, winner)
		result.Next = after.elected(common, winner)
	}
	return result
}

// parse returns the configuration of the speaker on each node, which is nil
// where it is rejected.
func parse(world *oracle.World) ([]*config.Config, *answer) {
	result := &answer{}
	configs := make([]*config.Config, len(world.Nodes))
	for i, node := range world.Nodes {
		if i > 0 && !controllers.ParsesPerNode {
			configs[i] = configs[0]
			result.Rejected = append(result.Rejected, result.Rejected[0])
			continue
		}
		cfg, err := controllers.LockstepConfig(resources(world), node)
		reason := ""
		if err != nil {
			cfg, reason = nil, err.Error()
		}
		configs[i] = cfg
		result.Rejected = append(result.Rejected, reason)
	}
	return configs, result
}

func momentOf(world *oracle.World) *moment {
	now := &moment{world: world, alive: map[string]bool{}, nodes: map[string]*v1.Node{}, slices: world.Slices}
	for _, name := range world.Speakers {
		now.alive[name] = true
	}
	for i := range world.Nodes {
		now.nodes[world.Nodes[i].Name] = &world.Nodes[i]
	}
	return now
}

func (m *moment) Rejoin() {}

// newSpeaker is a speaker on the node that records what it decides.
func newSpeaker(node string, cfg *config.Config, decided *decisions) *controller {
	return &controller{
		myNode:           node,
		config:           cfg,
		client:           oracle.Silent{},
		protocolHandlers: map[config.Proto]Protocol{config.Layer2: &decided.layer2, config.BGP: &decided.bgp},
		announced:        map[config.Proto]map[string]bool{config.Layer2: {}, config.BGP: {}},
		svcIPs:           map[string][]net.IP{},
		protocols:        []config.Proto{config.BGP, config.Layer2},
	}
}

// elected is the first node but one whose speaker announces by layer 2.
func (m *moment) elected(cfg *config.Config, but string) string {
	for _, node := range m.world.Nodes {
		if node.Name != but && m.nodes[node.Name] != nil && m.decide(node.Name, cfg).layer2.announces {
			return node.Name
		}
	}
	return ""
}

func withoutNode(all []discovery.EndpointSlice, node string) []discovery.EndpointSlice {
	var kept []discovery.EndpointSlice
	for _, slice := range all {
		endpoints := slice.Endpoints
		slice.Endpoints = nil
		for _, endpoint := range endpoints {
			if endpoint.NodeName == nil || *endpoint.NodeName != node {
				slice.Endpoints = append(slice.Endpoints, endpoint)
			}
		}
		kept = append(kept, slice)
	}
	return kept
}

// names are the nodes of a set.
func names(set map[string]bool) []string {
	var names []string
	for name, isIn := range set {
		if isIn {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
