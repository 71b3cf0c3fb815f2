//go:build !lockstep_0_13 && !lockstep_0_16

package main

import "go.universe.tf/metallb/internal/config"

func preferred(*config.L2Advertisement) map[string]int64 { return nil }
