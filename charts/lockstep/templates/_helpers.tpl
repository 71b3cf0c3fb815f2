{{- /* Fails if a value is missing that the templates need: `helm upgrade --reuse-values` leaves out those that are new in the
       chart. The first line of every template. */}}
{{- define "lockstep.valuesAreComplete" -}}
{{- range $path := list
  "audit" "audit.enabled" "certificates" "certificates.certManager" "certificates.certManager.duration"
  "certificates.certManager.renewBefore" "certificates.files" "certificates.mode" "certificates.reloadSeconds"
  "certificates.self" "certificates.self.caLifetime" "certificates.self.caPropagation" "certificates.self.leafLifetime" "crds"
  "crds.keep" "dashboard" "dashboard.grafanaOperator" "drainSeconds" "listenAddress" "log" "log.format" "log.level" "metrics"
  "metrics.listen" "mutualTLS" "networkPolicy" "networkPolicy.enabled" "nodeGuard" "nodeGuard.enabled" "nodeNames"
  "podDisruptionBudget" "podDisruptionBudget.enabled" "podDisruptionBudget.maxUnavailable" "podMonitor" "podMonitor.interval"
  "ports" "ports.https" "ports.metrics" "ports.probes" "preStopSleepSeconds" "prometheusRule"
  "prometheusRule.certificateExpirySeconds" "rbac" "rbac.reader" "replicas" "reports" "reports.enabled" "resourcesPreset"
  "revisionHistoryLimit" "service" "serviceAccount" "serviceMonitor" "serviceMonitor.interval" "topologySpread"
  "topologySpread.whenUnsatisfiable" "tracing" "webhooks" "webhooks.onlyGatewayObjects" "webhooks.timeoutSeconds"
  "webhooks.warnOfWorkloads"
}}
{{- $at := $.Values }}
{{- range $key := splitList "." $path }}
{{- if not (hasKey $at $key) }}
{{- fail (printf "the value `%s` is missing: upgrade with `--reset-then-reuse-values` instead of `--reuse-values`, which leaves out what is new in the chart, or do not set it to null" $path) }}
{{- end }}
{{- $at = get $at $key }}
{{- end }}
{{- end }}
{{- end }}

{{- define "lockstep.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* Short enough for the longest suffix, `-cert-manager-ca`, and for `.<namespace>.svc` behind it. */}}
{{- define "lockstep.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 47 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 47 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 47 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "lockstep.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride }}
{{- end }}

{{- define "lockstep.selectorLabels" -}}
app.kubernetes.io/name: {{ include "lockstep.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- /* The labels of every object. */}}
{{- define "lockstep.labels" -}}
{{- include "lockstep.labelsWith" (dict "root" . "labels" dict "value" "labels") }}
{{- end }}

{{- /* The labels of an object with `labels` of its own, from the value named `value`. None can replace one of the chart's: selectors
       and upgrades depend on those, and a key must not be there twice. */}}
{{- define "lockstep.labelsWith" -}}
{{- $own := append (include "lockstep.ownLabels" .root | fromYaml | keys) "app.kubernetes.io/component" }}
{{- $more := dict }}
{{- range $value, $labels := dict "commonLabels" .root.Values.commonLabels .value .labels }}
{{- range $key, $label := $labels }}
{{- if has $key $own }}
{{- fail (printf "`%s` cannot set the label `%s`, which the chart sets itself: leave it out, or use another key" $value $key) }}
{{- end }}
{{- if or (ne $value "commonLabels") (not (hasKey $more $key)) }}
{{- $_ := set $more $key $label }}
{{- end }}
{{- end }}
{{- end -}}
{{ include "lockstep.ownLabels" .root }}
{{- with $more }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* The annotations of an object: the common ones, and over them its own. */}}
{{- define "lockstep.annotations" }}
{{- with mergeOverwrite (deepCopy (.root.Values.commonAnnotations | default dict)) (.annotations | default dict) }}
  annotations:
    {{- toYaml . | nindent 4 }}
{{- end }}
{{- end }}

{{- define "lockstep.ownLabels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "lockstep.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "lockstep.serviceAccountName" -}}
{{- default (include "lockstep.fullname" .) .Values.serviceAccount.name }}
{{- end }}

{{- define "lockstep.image" -}}
{{- $image := .Values.image | default dict }}
{{- $repository := $image.repository | default "ghcr.io/lockstep-dev/lockstep" }}
{{- if $image.digest }}
{{- printf "%s@%s" $repository $image.digest }}
{{- else }}
{{- printf "%s:%s" $repository (default .Chart.AppVersion $image.tag) }}
{{- end }}
{{- end }}

{{- define "lockstep.pullPolicy" -}}
{{- dig "pullPolicy" "" (.Values.image | default dict) | default "IfNotPresent" }}
{{- end }}

{{- /* The security context of a pod. OpenShift gives each namespace users and groups of its own, and refuses others. */}}
{{- define "lockstep.podSecurityContext" -}}
{{- $context := deepCopy (.Values.podSecurityContext | default dict) }}
{{- if .Capabilities.APIVersions.Has "security.openshift.io/v1" }}
{{- range list "runAsUser" "runAsGroup" "fsGroup" }}
{{- if eq (get $context . | toString) "65532" }}
{{- $context = omit $context . }}
{{- end }}
{{- end }}
{{- end }}
{{- toYaml $context }}
{{- end }}

{{- /* The resources of a replica: those of the preset, and over them `resources`. */}}
{{- define "lockstep.resources" -}}
{{- $presets := dict
  "none" (dict)
  "standard" (dict "requests" (dict "cpu" "50m" "memory" "64Mi") "limits" (dict "memory" "256Mi"))
  "large" (dict "requests" (dict "cpu" "500m" "memory" "256Mi") "limits" (dict "memory" "1Gi"))
}}
{{- toYaml (mergeOverwrite (get $presets .Values.resourcesPreset) (deepCopy (.Values.resources | default dict))) }}
{{- end }}

{{/* The Secret that key pairs are mounted from; none in mode `self`. */}}
{{- define "lockstep.tlsSecret" -}}
{{- $mode := .Values.certificates.mode }}
{{- if eq $mode "files" }}
{{- required "`certificates.files.secretName` is not set; mode `files` serves from that Secret" .Values.certificates.files.secretName }}
{{- else if eq $mode "cert-manager" }}
{{- printf "%s-tls" (include "lockstep.fullname" .) }}
{{- end }}
{{- end }}

{{/* The covered namespaces, as JSON: those of the release's topologies, and the further ones of the values.
     Where a topology leaves a namespace out, it is the default of the definition. */}}
{{- define "lockstep.namespaces" -}}
{{- $gateways := .Values.webhooks.gatewayNamespaces | default list }}
{{- $metallb := .Values.webhooks.metallbNamespaces | default list }}
{{- range .Values.topologies }}
{{- $spec := .spec | default dict }}
{{- $gateways = append $gateways (dig "gateway" "namespace" "istio-system" $spec) }}
{{- $metallb = append $metallb (dig "metallbNamespace" "metallb-system" $spec) }}
{{- end }}
{{- if not (and $gateways $metallb) }}
{{- fail "no namespace is covered: write a topology into `topologies`, or name the namespaces of topologies that are created elsewhere in `webhooks.gatewayNamespaces` and `webhooks.metallbNamespaces`" }}
{{- end }}
{{- range concat $gateways $metallb }}
{{- if eq . (include "lockstep.namespace" $) }}
{{- fail (printf "namespace `%s` is the release's own, and Lockstep's webhooks must not cover it: they would keep its own pods from starting; install the release into a namespace of its own, such as `lockstep-system`" .) }}
{{- end }}
{{- end }}
{{- dict "gateways" ($gateways | uniq | sortAlpha) "metallb" ($metallb | uniq | sortAlpha) | toJson }}
{{- end }}

{{/* The match conditions of the webhooks for the gateways' namespaces: CEL that holds for every object that can belong to a
     gateway of the release's topologies, and for every object of a namespace whose topologies are created elsewhere. The
     condition `Guarded` knows this text (crates/core/src/coverage/match_condition.rs), and no other. */}}
{{- define "lockstep.gatewayObjects" -}}
{{- $gateways := include "lockstep.gatewayLabels" . | fromJsonArray }}
{{- if and $gateways .Values.webhooks.onlyGatewayObjects }}
- name: may-belong-to-a-gateway
  expression: >-
    request.namespace in {{ .Values.webhooks.gatewayNamespaces | default list | uniq | sortAlpha | toJson }}
    || {{ $gateways | toJson }}.exists(gateway,
    [object, oldObject].exists(it, it != null && (
    request.resource.resource == "pods" ? has(it.metadata.labels)
    && gateway.all(key, key in it.metadata.labels && it.metadata.labels[key] == gateway[key])
    : request.resource.resource == "daemonsets" ? has(it.spec.template.metadata) && has(it.spec.template.metadata.labels)
    && gateway.all(key, key in it.spec.template.metadata.labels && it.spec.template.metadata.labels[key] == gateway[key])
    : request.resource.resource == "services" ? !has(it.spec.selector)
    || it.spec.selector.all(key, !(key in gateway) || it.spec.selector[key] == gateway[key])
    || has(it.spec.externalTrafficPolicy) && it.spec.externalTrafficPolicy == "Local" && object != null
    && (!has(object.spec.externalTrafficPolicy) || object.spec.externalTrafficPolicy != "Local")
    : true)))
{{- end }}
{{- end }}

{{/* The match conditions of the webhook for workloads. A ReplicaSet that a Deployment or a Rollout owns is left out: its owner
     gets the warning, and the only one who would see another is a controller. */}}
{{- define "lockstep.gatewayWorkloads" -}}
{{- $gateways := include "lockstep.gatewayLabels" . | fromJsonArray }}
- name: has-no-owner-that-is-warned
  expression: request.resource.resource != "replicasets" || !has(object.metadata.ownerReferences)
{{- if and $gateways .Values.webhooks.onlyGatewayObjects }}
- name: may-have-pods-of-a-gateway
  expression: >-
    request.namespace in {{ .Values.webhooks.gatewayNamespaces | default list | uniq | sortAlpha | toJson }}
    || {{ $gateways | toJson }}.exists(gateway,
    gateway.all(key, object.?spec.?template.?metadata.?labels[?key] == optional.of(gateway[key])))
{{- end }}
{{- end }}

{{/* The pod labels of the gateways of the release's topologies, as JSON. */}}
{{- define "lockstep.gatewayLabels" -}}
{{- $gateways := list }}
{{- range .Values.topologies }}
{{- $labels := dig "gateway" "podLabels" (dict "app" "istio-ingressgateway" "istio" "ingressgateway") (.spec | default dict) }}
{{- $gateways = append $gateways $labels }}
{{- end }}
{{- $gateways | uniq | toJson }}
{{- end }}

{{/* `matchConditions` of a webhook: the chart's `conditions`, as YAML, and those of the values. */}}
{{- define "lockstep.matchConditions" -}}
{{- $conditions := trim .conditions }}
{{- $more := .root.Values.webhooks.matchConditions }}
{{- if or $conditions $more }}
matchConditions:
  {{- with $conditions }}
  {{- . | nindent 2 }}
  {{- end }}
  {{- with $more }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
{{- end }}

{{/* The annotations of both webhook configurations. */}}
{{- define "lockstep.webhookAnnotations" -}}
{{- $annotations := deepCopy (.Values.webhooks.annotations | default dict) }}
{{- if eq .Values.certificates.mode "cert-manager" }}
{{- $_ := set $annotations "cert-manager.io/inject-ca-from" (printf "%s/%s-tls" (include "lockstep.namespace" .) (include "lockstep.fullname" .)) }}
{{- end }}
{{- toYaml $annotations }}
{{- end }}

{{/* What all webhooks have in common. Every field that the API server would fill in is written out, so that
     nothing that compares manifests with the cluster sees a difference. */}}
{{- define "lockstep.webhook" -}}
{{- $root := .root -}}
name: {{ .name }}
admissionReviewVersions: [v1]
clientConfig:
  {{- with $root.Values.certificates }}
  {{- if and (eq .mode "files") .files.caBundle }}
  caBundle: {{ .files.caBundle | b64enc }}
  {{- end }}
  {{- end }}
  service:
    name: {{ include "lockstep.fullname" $root }}
    namespace: {{ include "lockstep.namespace" $root }}
    path: {{ .path }}
    port: 443
failurePolicy: {{ .failurePolicy | default "Fail" }}
matchPolicy: Equivalent
namespaceSelector:
  matchExpressions:
    - key: kubernetes.io/metadata.name
      operator: In
      values: {{ toJson .namespaces }}
objectSelector: {}
sideEffects: None
timeoutSeconds: {{ .timeoutSeconds | default $root.Values.webhooks.timeoutSeconds }}
{{- end }}
