{{- define "fairlead.name" -}}
{{ .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "fairlead.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else if contains (include "fairlead.name" .) .Release.Name }}
{{- .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "fairlead.name" .) | trunc 50 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- /* Names of objects of the whole cluster contain the namespace, so that two releases do not collide. */ -}}
{{- define "fairlead.clusterSuffix" -}}
{{ if ne .Release.Namespace "metallb-system" }}.{{ .Release.Namespace }}{{ end }}
{{- end }}

{{- define "fairlead.webhookConfiguration" -}}
{{ include "fairlead.fullname" . }}-webhook-configuration{{ include "fairlead.clusterSuffix" . }}
{{- end }}

{{- define "fairlead.agentAccount" -}}
{{ .Values.speaker.serviceAccount.name | default (printf "%s-agent" (include "fairlead.fullname" .)) }}
{{- end }}

{{- define "fairlead.controllerAccount" -}}
{{ .Values.controller.serviceAccount.name | default (printf "%s-controller" (include "fairlead.fullname" .)) }}
{{- end }}

{{- define "fairlead.labels" -}}
{{ include "fairlead.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end }}

{{- define "fairlead.selector" -}}
app.kubernetes.io/name: {{ include "fairlead.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "fairlead.webhookNamespace" -}}
{{ .Release.Namespace }}-webhook
{{- end }}

{{- define "fairlead.scrape" -}}
prometheus.io/scrape: "true"
prometheus.io/port: {{ .Values.prometheus.metricsPort | quote }}
prometheus.io/path: /metrics
{{- if include "fairlead.metricsTls" . }}
prometheus.io/scheme: https
{{- end }}
{{- end }}
