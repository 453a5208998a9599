{{/* The labels of every object. No version and no chart: they would change objects that have not changed. */}}
{{- define "yurt.labels" -}}
app.kubernetes.io/name: yurt
app.kubernetes.io/part-of: yurt
app.kubernetes.io/managed-by: {{ .Values.managedBy | default .Release.Service }}
{{- end }}

{{/* The image in full. A digest stands alone: some runtimes refuse a tag beside it, the others ignore the tag. */}}
{{- define "yurt.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end }}

{{/* The names of the pull secrets, with commas. */}}
{{- define "yurt.pullSecrets" -}}
{{- $names := list -}}
{{- range .Values.image.pullSecrets }}{{ $names = append $names .name }}{{ end -}}
{{- join "," $names -}}
{{- end }}
