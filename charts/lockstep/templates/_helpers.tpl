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

{{- define "lockstep.selectorLabels" -}}
app.kubernetes.io/name: {{ include "lockstep.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "lockstep.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "lockstep.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "lockstep.serviceAccountName" -}}
{{- default (include "lockstep.fullname" .) .Values.serviceAccount.name }}
{{- end }}

{{- define "lockstep.image" -}}
{{- with .Values.image }}
{{- if .digest }}
{{- printf "%s@%s" .repository .digest }}
{{- else }}
{{- printf "%s:%s" .repository (default $.Chart.AppVersion .tag) }}
{{- end }}
{{- end }}
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
{{- $gateways := .Values.webhooks.gatewayNamespaces }}
{{- $metallb := .Values.webhooks.metallbNamespaces }}
{{- range .Values.topologies }}
{{- $spec := .spec | default dict }}
{{- $gateways = append $gateways (dig "gateway" "namespace" "istio-system" $spec) }}
{{- $metallb = append $metallb (dig "metallbNamespace" "metallb-system" $spec) }}
{{- end }}
{{- if not (and $gateways $metallb) }}
{{- fail "no namespace is covered: write a topology into `topologies`, or name the namespaces of topologies that are created elsewhere in `webhooks.gatewayNamespaces` and `webhooks.metallbNamespaces`" }}
{{- end }}
{{- range concat $gateways $metallb }}
{{- if eq . $.Release.Namespace }}
{{- fail (printf "namespace `%s` is the release's own, and Lockstep's webhooks must not cover it: they would keep its own pods from starting; install the release into a namespace of its own, such as `lockstep-system`" .) }}
{{- end }}
{{- end }}
{{- dict "gateways" ($gateways | uniq | sortAlpha) "metallb" ($metallb | uniq | sortAlpha) | toJson }}
{{- end }}

{{/* The match conditions of the webhooks for the gateways' namespaces: CEL that holds for every object that can belong to a
     gateway of the release's topologies, and for every object of a namespace whose topologies are created elsewhere. The
     condition `Guarded` knows this text (crates/core/src/coverage/match_condition.rs), and no other. */}}
{{- define "lockstep.gatewayObjects" -}}
{{- $gateways := list }}
{{- range .Values.topologies }}
{{- $labels := dig "gateway" "podLabels" (dict "app" "istio-ingressgateway" "istio" "ingressgateway") (.spec | default dict) }}
{{- $gateways = append $gateways $labels }}
{{- end }}
{{- if and $gateways .Values.webhooks.onlyGatewayObjects }}
matchConditions:
  - name: may-belong-to-a-gateway
    expression: >-
      request.namespace in {{ .Values.webhooks.gatewayNamespaces | uniq | sortAlpha | toJson }}
      || {{ $gateways | uniq | toJson }}.exists(gateway,
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

{{/* The annotations of both webhook configurations. */}}
{{- define "lockstep.webhookAnnotations" -}}
{{- $annotations := deepCopy .Values.webhooks.annotations }}
{{- if eq .Values.certificates.mode "cert-manager" }}
{{- $_ := set $annotations "cert-manager.io/inject-ca-from" (printf "%s/%s-tls" .Release.Namespace (include "lockstep.fullname" .)) }}
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
    namespace: {{ $root.Release.Namespace }}
    path: {{ .path }}
    port: 443
failurePolicy: Fail
matchPolicy: Equivalent
namespaceSelector:
  matchExpressions:
    - key: kubernetes.io/metadata.name
      operator: In
      values: {{ toJson .namespaces }}
objectSelector: {}
sideEffects: None
timeoutSeconds: {{ $root.Values.webhooks.timeoutSeconds }}
{{- end }}
