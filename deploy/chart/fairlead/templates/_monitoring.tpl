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
{{- with .relabelings }}
relabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "fairlead.excludedPools" -}}
{{- with .excludePools }}{pool!~{{ . | quote }}}{{ end }}
{{- end }}
