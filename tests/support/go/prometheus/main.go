// Openmetrics reads the text of a /metrics page with Prometheus' own parser,
// lints it as promtool does, and writes what it found as JSON.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
)

type family struct {
	Name string `json:"name"`
	Type string `json:"type"`
	Help string `json:"help"`
	Unit string `json:"unit"`
}

type series struct {
	Family string            `json:"family"`
	Labels map[string]string `json:"labels"`
	Value  string            `json:"value"`
}

type page struct {
	Families []*family `json:"families"`
	Series   []series  `json:"series"`
	Problems []string  `json:"problems"`
}

func main() {
	if len(os.Args) != 2 {
		fail(errors.New("usage: openmetrics CONTENT-TYPE < PAGE"))
	}
	text, err := io.ReadAll(os.Stdin)
	if err != nil {
		fail(err)
	}
	found, err := parse(text, os.Args[1])
	if err != nil {
		fail(err)
	}
	if err := lint(found); err != nil {
		fail(err)
	}
	if err := json.NewEncoder(os.Stdout).Encode(found); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func parse(text []byte, contentType string) (*page, error) {
	parser, err := textparse.New(text, contentType, labels.NewSymbolTable(), textparse.ParserOptions{})
	if err != nil {
		return nil, err
	}
	found := &page{Problems: []string{}}
	seen := map[string]bool{}
	current := &family{}
	// What belongs to one metric stands together; its name comes with each line.
	of := func(name []byte) *family {
		if string(name) != current.Name {
			current = &family{Name: string(name)}
			found.Families = append(found.Families, current)
		}
		return current
	}
	for {
		entry, err := parser.Next()
		if errors.Is(err, io.EOF) {
			return found, nil
		}
		if err != nil {
			return nil, err
		}
		switch entry {
		case textparse.EntryType:
			name, kind := parser.Type()
			of(name).Type = string(kind)
		case textparse.EntryHelp:
			name, help := parser.Help()
			of(name).Help = string(help)
		case textparse.EntryUnit:
			name, unit := parser.Unit()
			of(name).Unit = string(unit)
		case textparse.EntrySeries:
			text, _, value := parser.Series()
			var all labels.Labels
			parser.Labels(&all)
			if seen[all.String()] {
				return nil, fmt.Errorf("the series %s is there twice", text)
			}
			seen[all.String()] = true
			found.Series = append(found.Series, series{
				Family: current.Name,
				Labels: all.Map(),
				Value:  strconv.FormatFloat(value, 'f', -1, 64),
			})
		default:
			return nil, fmt.Errorf("an entry of an unexpected kind: %d", entry)
		}
	}
}

// The linter knows the older format, in which a counter's name ends with
// _total and an info is a gauge.
func lint(found *page) error {
	families := map[string]*dto.MetricFamily{}
	var all []*dto.MetricFamily
	for _, family := range found.Families {
		name, kind := family.Name, dto.MetricType_GAUGE
		switch model.MetricType(family.Type) {
		case model.MetricTypeCounter:
			name, kind = name+"_total", dto.MetricType_COUNTER
		case model.MetricTypeInfo:
			name += "_info"
		case model.MetricTypeHistogram:
			kind = dto.MetricType_HISTOGRAM
		case model.MetricTypeGauge:
		default:
			found.Problems = append(found.Problems, family.Name+" has the type "+family.Type)
		}
		families[family.Name] = &dto.MetricFamily{Name: &name, Help: &family.Help, Type: &kind}
		all = append(all, families[family.Name])
	}
	for _, series := range found.Series {
		name := series.Labels[model.MetricNameLabel]
		family := families[series.Family]
		if family == nil || !strings.HasPrefix(name, series.Family) {
			return fmt.Errorf("the series %s stands under %q, which is not its metric", name, series.Family)
		}
		// The linter sees a histogram as a whole, without its buckets.
		if family.GetType() == dto.MetricType_HISTOGRAM && name != series.Family+"_count" {
			continue
		}
		metric := &dto.Metric{}
		for label, value := range series.Labels {
			if label != model.MetricNameLabel {
				metric.Label = append(metric.Label, &dto.LabelPair{Name: &label, Value: &value})
			}
		}
		family.Metric = append(family.Metric, metric)
	}
	problems, err := promlint.NewWithMetricFamilies(all).Lint()
	for _, problem := range problems {
		found.Problems = append(found.Problems, problem.Metric+": "+problem.Text)
	}
	return err
}
