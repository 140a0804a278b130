{{- /* True if metrics are served over TLS: agents and controllers alike, because one PodMonitor has both. */ -}}
{{- define "fairlead.metricsTls" -}}
{{- if or .Values.prometheus.tls.enabled .Values.tls.controllerMetricsTLSSecret .Values.tls.speakerMetricsTLSSecret }}true{{ end }}
{{- end }}

{{- /* The arguments of the metrics port, for a list of the Secret with the component's certificate and the root. */ -}}
{{- define "fairlead.metricsArgs" -}}
{{- $root := index . 1 -}}
- --metrics-address={{ $root.Values.prometheus.metricsAddress }}:{{ $root.Values.prometheus.metricsPort }}
{{- if include "fairlead.metricsTls" $root }}
- --metrics-tls=on
{{- if index . 0 }}
- --metrics-cert-dir=/etc/fairlead/metrics-tls
{{- end }}
{{- end }}
{{- end }}

{{- /* The rules that the review of tokens needs. */ -}}
{{- define "fairlead.reviewRules" -}}
{{- if include "fairlead.metricsTls" . }}
# Who scrapes metrics, and whether they may.
- apiGroups: [authentication.k8s.io]
  resources: [tokenreviews]
  verbs: [create]
- apiGroups: [authorization.k8s.io]
  resources: [subjectaccessreviews]
  verbs: [create]
{{- end }}
{{- end }}

{{- /* The endpoint of a PodMonitor or ServiceMonitor. */ -}}
{{- define "fairlead.endpoint" -}}
honorLabels: true
{{- with .interval }}
interval: {{ . }}
{{- end }}
{{- with .metricRelabelings }}
metricRelabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
relabelings:
  {{- include "fairlead.relabelings" . | nindent 2 }}
  {{- with .relabelings }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{- /* The labels that alerts and the dashboard select by and name. */ -}}
{{- define "fairlead.relabelings" -}}
- sourceLabels: [__meta_kubernetes_pod_label_app_kubernetes_io_component]
  regex: (.+)
  targetLabel: component
  replacement: fairlead-$1
- sourceLabels: [__meta_kubernetes_pod_node_name]
  targetLabel: node
{{- end }}

{{- define "fairlead.excludedPools" -}}
{{- with .excludePools }}{pool!~{{ . | quote }}}{{ end }}
{{- end }}
