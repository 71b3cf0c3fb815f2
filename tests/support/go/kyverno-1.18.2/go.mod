// The tests read the custom resource definitions of wgpolicyk8s.io out of this
// module, because the module of the policy working group itself is not on the
// Go module proxy; they build none of its code. `go mod tidy` would find no
// import here and remove the line, and the two sums in go.sum cover all that is
// downloaded.
module lockstep.dev/tests/control-plane/kyverno-1.18.2

go 1.26.0

require github.com/kyverno/kyverno v1.18.2
