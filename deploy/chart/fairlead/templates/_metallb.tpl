{{- /* A YAML list of {key, refused, reason}: values of MetalLB's chart that differ from its default and have no effect. */ -}}
{{- define "fairlead.unread" -}}
{{- $unread := list -}}
{{- range (.Files.Get "metallb-values.yaml" | fromYamlArray) -}}
{{- $found := true -}}
{{- $value := $.Values -}}
{{- range (splitList "." .key) -}}
{{- if and $found (kindIs "map" $value) -}}
{{- if hasKey $value . -}}{{- $value = get $value . -}}{{- else -}}{{- $found = false -}}{{- end -}}
{{- else -}}{{- $found = false -}}{{- end -}}
{{- end -}}
{{- if $found -}}
{{- if not (or (kindIs "invalid" $value) (deepEqual $value .default)) -}}
{{- $unread = append $unread (omit . "default") -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $component := list "controller" "speaker" -}}
{{- $repository := (get $.Values $component).image.repository | default "" -}}
{{- if contains "metallb/" $repository -}}
{{- $reason := "it is MetalLB's image, which contains another program. Remove it, or name a copy of Fairlead's image" -}}
{{- $unread = append $unread (dict "key" (printf "%s.image.repository" $component) "refused" true "reason" $reason) -}}
{{- end -}}
{{- end -}}
{{ toYaml $unread }}
{{- end }}

{{- define "fairlead.refuse" -}}
{{- $lines := list -}}
{{- range (include "fairlead.unread" . | fromYamlArray) -}}
{{- if .refused -}}{{- $lines = append $lines (printf "  %s: %s" .key .reason) -}}{{- end -}}
{{- end -}}
{{- if $lines -}}
{{- fail (printf "\nvalues of MetalLB's chart that Fairlead cannot follow:\n%s\n" (join "\n" $lines)) -}}
{{- end -}}
{{- end }}
