// Package oracle reads worlds and writes what MetalLB makes of them, one JSON
// object a line each.
//
// It is compiled into MetalLB's own module, because what decides there is not
// exported.
package oracle

import (
	"encoding/json"

	corev1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"

	"go.universe.tf/metallb/api/v1beta1"
	"go.universe.tf/metallb/internal/lines"
)

// World is a cluster with one Service.
type World struct {
	Nodes             []corev1.Node              `json:"nodes"`
	Namespaces        []corev1.Namespace         `json:"namespaces"`
	Pools             []v1beta1.IPAddressPool    `json:"pools"`
	L2Advertisements  []v1beta1.L2Advertisement  `json:"layer2"`
	BGPAdvertisements []v1beta1.BGPAdvertisement `json:"bgp"`
	// LegacyPools are AddressPools, a type that only 0.13 has.
	LegacyPools json.RawMessage `json:"legacyPools"`
	Service     *corev1.Service `json:"service"`
	// Slices are those of the Service.
	Slices []discovery.EndpointSlice `json:"slices"`
	// Speakers are the nodes whose speaker is a member of the memberlist.
	Speakers []string `json:"speakers"`
	// LacksMemberlist tells that the speakers run without one.
	LacksMemberlist bool `json:"lacksMemberlist"`
	// IgnoresExcludeLabel is the flag --ignore-exclude-lb.
	IgnoresExcludeLabel bool `json:"ignoresExcludeLabel"`
}

// Key is the namespace and name of the Service, as MetalLB writes them.
func (w *World) Key() string {
	return w.Service.Namespace + "/" + w.Service.Name
}

// Legacy decodes the AddressPools.
func (w *World) Legacy(into any) {
	if len(w.LegacyPools) == 0 {
		return
	}
	if err := json.Unmarshal(w.LegacyPools, into); err != nil {
		panic(err)
	}
}

// Main answers the worlds on standard input until it ends, and ends the
// process. It is called by init functions, so that MetalLB's own main does not
// run.
func Main(answer func(*World) any) {
	lines.Main(func(question []byte) (any, error) {
		var world World
		if err := json.Unmarshal(question, &world); err != nil {
			return nil, err
		}
		return answer(&world), nil
	})
}

// Silent is a Kubernetes client that keeps nothing.
type Silent struct{}

func (Silent) UpdateStatus(*corev1.Service) error             { return nil }
func (Silent) Infof(*corev1.Service, string, string, ...any)  {}
func (Silent) Errorf(*corev1.Service, string, string, ...any) {}
