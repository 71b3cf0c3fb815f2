//go:build lockstep_0_16

package main

import "go.universe.tf/metallb/internal/config"

func preferred(advertisement *config.L2Advertisement) map[string]int64 {
	return advertisement.PreferredNodes
}
