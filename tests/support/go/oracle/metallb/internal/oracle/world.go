// Package oracle reads worlds and writes what MetalLB makes of them, one JSON
// object a line each.
//
// It is compiled into MetalLB's own module, because what decides there is not
// exported.
package oracle

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	corev1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"

	"go.universe.tf/metallb/api/v1beta1"
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
	if err := run(os.Stdin, os.Stdout, answer); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func run(input io.Reader, output io.Writer, answer func(*World) any) error {
	reader := bufio.NewReaderSize(input, 1<<20)
	writer := bufio.NewWriterSize(output, 1<<20)
	encoder := json.NewEncoder(writer)
	for {
		line, err := reader.ReadBytes('\n')
		if errors.Is(err, io.EOF) && len(line) == 0 {
			return writer.Flush()
		}
		if err != nil {
			return err
		}
		var world World
		if err := json.Unmarshal(line, &world); err != nil {
			return fmt.Errorf("%w in the world %s", err, line)
		}
		if err := encoder.Encode(answer(&world)); err != nil {
			return err
		}
		// Whoever asks for one world waits for its answer.
		if reader.Buffered() == 0 {
			if err := writer.Flush(); err != nil {
				return err
			}
		}
	}
}
