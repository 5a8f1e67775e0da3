{{- define "tickwire.name" -}}
{{- if contains "tickwire" .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-tickwire" .Release.Name | trunc 50 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "tickwire.labels" -}}
app.kubernetes.io/name: tickwire
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{/* tickwire.selector takes a list: the root, and feed, fanout or redis. */}}
{{- define "tickwire.selector" -}}
app.kubernetes.io/name: tickwire
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/* tickwire.image takes what selector does. */}}
{{- define "tickwire.image" -}}
{{- $root := index . 0 }}
{{- $part := index $root.Values (index . 1) }}
{{- $root.Values.image.repository }}:{{ $part.tag | default $root.Values.image.tag | default $root.Chart.AppVersion }}
{{- end }}

{{/* tickwire.config is the file for --config. */}}
{{- define "tickwire.config" -}}
{{- range $settings := list .Values.settings .Values.feed.settings .Values.fanout.settings }}
{{- range $key := list "listen" "metrics" "redis" }}
{{- if hasKey $settings $key }}{{ fail (printf "settings cannot have %s: the image, or redis.url and redis.secret, say it" $key) }}{{ end }}
{{- end }}
{{- end }}
{{- $fanout := dict }}
{{- with .Values.fanout.tls.secret }}
{{- $fanout = dict "tls-cert" "/etc/tickwire/tls/tls.crt" "tls-key" "/etc/tickwire/tls/tls.key" }}
{{- end }}
{{- with .Values.fanout.tokens.secret }}
{{- $fanout = merge $fanout (dict "token-key" (list "/etc/tickwire/tokens/public.pem")) }}
{{- end }}
{{- with .Values.fanout.tokens.jwks }}
{{- $fanout = merge $fanout (dict "token-jwks" .) }}
{{- end }}
{{- if .Values.fanout.insecure }}
{{- $fanout = merge $fanout (dict "insecure" true) }}
{{- end }}
{{- $own := dict "feed" .Values.feed.settings "fanout" (mergeOverwrite (deepCopy .Values.fanout.settings) $fanout) }}
{{- toYaml (mergeOverwrite (deepCopy .Values.settings) $own) }}
{{- end }}

{{/* tickwire.redis is where a process has the URL from. */}}
{{- define "tickwire.redis" -}}
{{- if regexMatch "://[^/]*:[^/]*@|pass" .Values.redis.url }}{{ fail "redis.url has a password: put it into a secret, and name that in redis.secret" }}{{ end }}
- name: TICKWIRE_REDIS
{{- if .Values.redis.secret }}
  valueFrom: {secretKeyRef: {name: {{ .Values.redis.secret }}, key: url}}
{{- else }}
  value: {{ .Values.redis.url | default (printf "redis://%s-redis:6379" (include "tickwire.name" .)) | quote }}
{{- end }}
{{- end }}

{{/* tickwire.spec is what pods of feeds and nodes have in common; it takes what selector does. */}}
{{- define "tickwire.spec" -}}
{{- $root := index . 0 }}
{{- $part := index $root.Values (index . 1) }}
automountServiceAccountToken: false
{{- with $root.Values.pullSecrets }}
imagePullSecrets: {{ toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  seccompProfile: {type: RuntimeDefault}
{{- with $part.nodeSelector }}
nodeSelector: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with $part.tolerations }}
tolerations: {{ toYaml . | nindent 2 }}
{{- end }}
topologySpreadConstraints:
  {{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - topologyKey: {{ . }}
    maxSkew: 1
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{ include "tickwire.selector" $ | nindent 8 }}
  {{- end }}
{{- end }}

{{/* tickwire.confined is a container's securityContext. */}}
{{- define "tickwire.confined" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}
