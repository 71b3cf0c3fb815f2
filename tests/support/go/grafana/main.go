// Dashboard reads a Grafana dashboard on standard input with the types that
// Grafana publishes, and writes as JSON the fields that they do not have and
// the values that they do not allow. The options of panels and the queries are
// read with the types of their plugins.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sort"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/table"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

func main() {
	text, err := io.ReadAll(os.Stdin)
	if err != nil {
		fail(err)
	}
	registerPlugins()
	found, err := problems(text)
	if err != nil {
		fail(err)
	}
	if err := json.NewEncoder(os.Stdout).Encode(found); err != nil {
		fail(err)
	}
}

// registerPlugins registers the types of panels and queries that the dashboard
// has: all of them would take a minute to compile.
func registerPlugins() {
	runtime := cog.NewRuntime()
	runtime.RegisterPanelcfgVariant(stat.VariantConfig())
	runtime.RegisterPanelcfgVariant(table.VariantConfig())
	runtime.RegisterPanelcfgVariant(timeseries.VariantConfig())
	runtime.RegisterDataqueryVariant(prometheus.VariantConfig())
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func problems(text []byte) ([]string, error) {
	var read dashboard.Dashboard
	found := []string{}
	found = append(found, of(read.UnmarshalJSONStrict(text))...)
	found = append(found, of(read.Validate())...)
	unknown, err := unknownPanels(text)
	if err != nil {
		return nil, err
	}
	found = append(found, unknown...)
	sort.Strings(found)
	return found, nil
}

// of returns what is wrong, one path each.
func of(err error) []string {
	var all cog.BuildErrors
	var one *cog.BuildError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &all):
		found := []string{}
		for _, err := range all {
			found = append(found, of(err)...)
		}
		return found
	case errors.As(err, &one):
		return []string{one.Error()}
	default:
		return []string{err.Error()}
	}
}

// unknownPanels returns the panels whose options nothing has read, because
// their type is not registered.
func unknownPanels(text []byte) ([]string, error) {
	var raw struct {
		Panels []struct {
			Type string `json:"type"`
		} `json:"panels"`
	}
	if err := json.Unmarshal(text, &raw); err != nil {
		return nil, err
	}
	found := []string{}
	for index, panel := range raw.Panels {
		if _, known := cog.ConfigForPanelcfgVariant(panel.Type); !known && panel.Type != "row" {
			found = append(found, fmt.Sprintf("panels[%d]: unknown type %q", index, panel.Type))
		}
	}
	return found, nil
}
