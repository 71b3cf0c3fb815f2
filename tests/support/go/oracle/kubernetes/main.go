// The program reads questions and answers each with the code of Kubernetes
// itself, one JSON object a line each.
package main

import (
	"encoding/json"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	"k8s.io/kubernetes/pkg/api/service"
	"k8s.io/kubernetes/pkg/apis/core"
	_ "k8s.io/kubernetes/pkg/apis/core/install"
	"k8s.io/kubernetes/pkg/apis/core/validation"

	"lockstep.dev/tests/control-plane/kubernetes/lines"
)

// question is one of four: which label sets a selector matches, which nodes a
// pod may run on, what the API server makes of a Service, and what a patch makes
// of a document.
type question struct {
	Selector *metav1.LabelSelector `json:"selector"`
	Labels   []labels.Set          `json:"labels"`

	// Pod is placed on Nodes; without any, on those of the question before.
	Pod   *corev1.Pod   `json:"pod"`
	Nodes []corev1.Node `json:"nodes"`

	Service *corev1.Service `json:"service"`

	Document json.RawMessage `json:"document"`
	Patch    json.RawMessage `json:"patch"`
}

type answer struct {
	Error string `json:"error,omitempty"`
	// Matches tells for each label set or node whether it matches.
	Matches []bool `json:"matches,omitempty"`
	// Document is the patched one, or the Service with its defaults.
	Document json.RawMessage `json:"document,omitempty"`
}

func main() {
	var nodes []corev1.Node
	lines.Main(func(line []byte) (any, error) {
		var asked question
		if err := json.Unmarshal(line, &asked); err != nil {
			return nil, err
		}
		if asked.Nodes == nil {
			asked.Nodes = nodes
		}
		nodes = asked.Nodes
		answered, err := asked.answer()
		if err != nil {
			answered = answer{Error: err.Error()}
		}
		return answered, nil
	})
}

func (q *question) answer() (answer, error) {
	switch {
	case q.Selector != nil:
		return q.selected()
	case q.Pod != nil:
		return q.placed()
	case q.Service != nil:
		return q.served()
	default:
		return q.patched()
	}
}

func (q *question) selected() (answer, error) {
	selector, err := metav1.LabelSelectorAsSelector(q.Selector)
	if err != nil {
		return answer{}, err
	}
	var matches []bool
	for _, set := range q.Labels {
		matches = append(matches, selector.Matches(set))
	}
	return answer{Matches: matches}, nil
}

func (q *question) placed() (answer, error) {
	required := nodeaffinity.GetRequiredNodeAffinity(q.Pod)
	var matches []bool
	for _, node := range q.Nodes {
		fits, _ := required.Match(&node)
		// A term that does not parse matches nothing, and the others count.
		matches = append(matches, fits)
	}
	return answer{Matches: matches}, nil
}

// served creates the Service, as far as defaults and validation go.
func (q *question) served() (answer, error) {
	legacyscheme.Scheme.Default(q.Service)
	internal := &core.Service{}
	if err := legacyscheme.Scheme.Convert(q.Service, internal, nil); err != nil {
		return answer{}, err
	}
	// The registry allocates the port before it validates (pkg/registry/core/service/storage/alloc.go).
	if service.NeedsHealthCheck(internal) && internal.Spec.HealthCheckNodePort == 0 {
		internal.Spec.HealthCheckNodePort = 30100
	}
	if errs := validation.ValidateServiceCreate(internal); len(errs) > 0 {
		return answer{}, errs.ToAggregate()
	}
	q.Service.APIVersion, q.Service.Kind = "v1", "Service"
	document, err := json.Marshal(q.Service)
	return answer{Document: document}, err
}

// patched applies the patch as the API server does (k8s.io/apiserver,
// pkg/admission/plugin/webhook/mutating/dispatcher.go).
func (q *question) patched() (answer, error) {
	patch, err := jsonpatch.DecodePatch(q.Patch)
	if err != nil {
		return answer{}, err
	}
	document, err := patch.Apply(q.Document)
	return answer{Document: document}, err
}
