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
