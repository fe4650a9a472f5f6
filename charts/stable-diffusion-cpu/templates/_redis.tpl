{{/* Secret with the password of this chart's redis. */}}
{{- define "sdcpu.redisSecretName" -}}
{{- .Values.redis.auth.existingSecret | default (include "sdcpu.componentName" (list . "redis")) -}}
{{- end -}}

{{/* The password: the one the cluster knows, else a new one, the same wherever it is asked for in a rendering. */}}
{{- define "sdcpu.redisPassword" -}}
{{- if not (hasKey .Values.redis.auth "rendered") -}}
{{- $known := lookup "v1" "Secret" .Release.Namespace (include "sdcpu.redisSecretName" .) | default dict -}}
{{- $password := index ($known.data | default dict) .Values.redis.auth.key | default "" | b64dec | default (randAlphaNum 32) -}}
{{- $_ := set .Values.redis.auth "rendered" $password -}}
{{- end -}}
{{- .Values.redis.auth.rendered -}}
{{- end -}}

{{/* "true" when this chart's redis may write to a disk. */}}
{{- define "sdcpu.redisOnDisk" -}}
{{- or (not .Values.tdx.enabled) .Values.tdx.redisOnDisk -}}
{{- end -}}

{{/* "true" when this chart's redis keeps its file on a claim. */}}
{{- define "sdcpu.redisPersists" -}}
{{- and .Values.redis.enabled .Values.redis.persistence.enabled (eq (include "sdcpu.redisOnDisk" .) "true") -}}
{{- end -}}

{{/* A variable from a Secret. Call: (list "NAME" secret key) */}}
{{- define "sdcpu.secretEnv" -}}
- name: {{ index . 0 }}
  valueFrom:
    secretKeyRef:
      name: {{ index . 1 }}
      key: {{ index . 2 }}
{{- end -}}

{{/* Environment of those who speak to Redis. */}}
{{- define "sdcpu.redisEnv" -}}
{{- if .Values.redis.enabled -}}
- name: REDIS_URL
  value: redis://{{ include "sdcpu.componentName" (list . "redis") }}:6379
{{ include "sdcpu.secretEnv" (list "REDIS_PASSWORD" (include "sdcpu.redisSecretName" .) .Values.redis.auth.key) }}
{{- else -}}
{{ include "sdcpu.externalRedisEnv" .Values.externalRedis }}
{{- end }}
- name: REDIS_PREFIX
  value: {{ .Values.redisPrefix | quote }}
{{- end -}}

{{- define "sdcpu.externalRedisEnv" -}}
- name: REDIS_URL
  value: {{ .url | quote }}
- name: REDIS_MODE
  value: {{ .mode }}
{{- with .username }}
- name: REDIS_USERNAME
  value: {{ . | quote }}
{{- end }}
{{- with .passwordSecret }}
{{- if .name }}
{{ include "sdcpu.secretEnv" (list "REDIS_PASSWORD" .name .key) }}
{{- end }}
{{- end }}
{{- if eq .mode "sentinel" }}
- name: REDIS_SENTINEL_MASTER
  value: {{ .sentinel.master | quote }}
{{- with .sentinel.username }}
- name: REDIS_SENTINEL_USERNAME
  value: {{ . | quote }}
{{- end }}
{{- with .sentinel.passwordSecret }}
{{- if .name }}
{{ include "sdcpu.secretEnv" (list "REDIS_SENTINEL_PASSWORD" .name .key) }}
{{- end }}
{{- end }}
{{- end }}
{{- if .tls.secretName }}
- name: REDIS_TLS_CA_FILE
  value: /run/secrets/redis/{{ .tls.caKey }}
{{- if .tls.certKey }}
- name: REDIS_TLS_CERT_FILE
  value: /run/secrets/redis/{{ .tls.certKey }}
- name: REDIS_TLS_KEY_FILE
  value: /run/secrets/redis/{{ .tls.keyKey }}
{{- end }}
{{- end }}
{{- with .tls.serverName }}
- name: REDIS_TLS_SERVERNAME
  value: {{ . | quote }}
{{- end }}
{{- end -}}

{{/* "true" when Redis' certificates come from a Secret. */}}
{{- define "sdcpu.redisHasCertificates" -}}
{{- and (not .Values.redis.enabled) (ne .Values.externalRedis.tls.secretName "") -}}
{{- end -}}

{{- define "sdcpu.redisVolumes" -}}
{{- if eq (include "sdcpu.redisHasCertificates" .) "true" -}}
- name: redis-certificates
  secret:
    secretName: {{ .Values.externalRedis.tls.secretName }}
    defaultMode: 0440
{{- end -}}
{{- end -}}

{{- define "sdcpu.redisMounts" -}}
{{- if eq (include "sdcpu.redisHasCertificates" .) "true" -}}
- name: redis-certificates
  mountPath: /run/secrets/redis
  readOnly: true
{{- end -}}
{{- end -}}

{{/* Restarts those who hold the password when it changes. */}}
{{- define "sdcpu.redisChecksum" -}}
{{- if and .Values.redis.enabled (not .Values.redis.auth.existingSecret) -}}
checksum/redis-password: {{ include "sdcpu.redisPassword" . | sha256sum }}
{{- end -}}
{{- end -}}
