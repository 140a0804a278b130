{{- /* Templates for the values of one component, or for a list of them and the root. */ -}}
{{- define "fairlead.image" -}}
{{- $own := index . 0 -}}
{{- $root := index . 1 -}}
{{- $repository := $own.image.repository | default $root.Values.image.repository -}}
{{- $tag := $own.image.tag | default $root.Values.image.tag | default $root.Chart.AppVersion -}}
image: {{ printf "%s:%s" $repository (toString $tag) }}
imagePullPolicy: {{ $own.image.pullPolicy | default $root.Values.image.pullPolicy }}
{{- end }}

{{- /* MetalLB names the ends of the scale differently. */ -}}
{{- define "fairlead.logLevel" -}}
{{ get (dict "all" "trace" "none" "off") .logLevel | default .logLevel }}
{{- end }}

{{- /* True if a second agent may run beside the first on a node. Kubernetes then allows no declared port: on the
node's network, two pods cannot have the same one. */ -}}
{{- define "fairlead.surges" -}}
{{- if and .updateStrategy (dig "rollingUpdate" "maxSurge" 0 .updateStrategy) }}true{{ end }}
{{- end }}

{{- /* The probes of a component; with `metricsPort` at this port instead of the one named so,
with `metricsTls` over HTTPS. */ -}}
{{- define "fairlead.probes" }}
{{- if .livenessProbe.enabled }}
livenessProbe:
  httpGet:
    path: /healthz
    port: {{ .metricsPort | default "metrics" }}
    {{- if .metricsTls }}
    scheme: HTTPS
    {{- end }}
  {{- toYaml (omit .livenessProbe "enabled") | nindent 2 }}
{{- end }}
{{- if .readinessProbe.enabled }}
readinessProbe:
  httpGet:
    path: /readyz
    port: {{ .metricsPort | default "metrics" }}
    {{- if .metricsTls }}
    scheme: HTTPS
    {{- end }}
  {{- toYaml (omit .readinessProbe "enabled") | nindent 2 }}
{{- end }}
{{- with .startupProbe }}
{{- if .enabled }}
startupProbe:
  httpGet:
    path: /healthz
    port: {{ .metricsPort | default "metrics" }}
    {{- if .metricsTls }}
    scheme: HTTPS
    {{- end }}
  {{- toYaml (omit . "enabled") | nindent 2 }}
{{- end }}
{{- end }}
{{- end }}

{{- /* `securityContext` is the pod's in MetalLB's chart and the container's here; fields that only a pod has go to the pod. */ -}}
{{- define "fairlead.podOnly" -}}
fsGroup fsGroupChangePolicy supplementalGroups supplementalGroupsPolicy sysctls
{{- end }}

{{- define "fairlead.podSecurityContext" -}}
{{- $context := dict -}}
{{- range (splitList " " (include "fairlead.podOnly" .)) -}}
{{- if hasKey $.securityContext . -}}
{{- $_ := set $context . (get $.securityContext .) -}}
{{- end -}}
{{- end -}}
{{- with $context }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "fairlead.containerSecurityContext" -}}
{{- $context := deepCopy .securityContext -}}
{{- range (splitList " " (include "fairlead.podOnly" .)) -}}
{{- $_ := unset $context . -}}
{{- end -}}
securityContext:
  {{- toYaml $context | nindent 2 }}
{{- end }}
