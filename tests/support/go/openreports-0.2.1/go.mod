// The tests read this release's custom resource definitions out of its module;
// they build none of its code. `go mod tidy` would find no import here and
// remove the line, and the two sums in go.sum cover all that is downloaded.
module lockstep.dev/tests/control-plane/openreports-0.2.1

go 1.26.0

require github.com/openreports/reports-api v0.2.1
