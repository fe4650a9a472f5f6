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

{{/* Environment of those who speak to Redis. */}}
{{- define "sdcpu.redisEnv" -}}
{{- if .Values.redis.enabled -}}
- name: REDIS_PASSWORD
  valueFrom:
    secretKeyRef:
      name: {{ include "sdcpu.redisSecretName" . }}
      key: {{ .Values.redis.auth.key }}
- name: REDIS_URL
  value: redis://:$(REDIS_PASSWORD)@{{ include "sdcpu.componentName" (list . "redis") }}:6379
{{- else if .Values.externalRedis.existingSecret -}}
- name: REDIS_URL
  valueFrom:
    secretKeyRef:
      name: {{ .Values.externalRedis.existingSecret }}
      key: {{ .Values.externalRedis.key }}
{{- else -}}
- name: REDIS_URL
  value: {{ .Values.externalRedis.url | quote }}
{{- end }}
- name: REDIS_PREFIX
  value: {{ .Values.redisPrefix | quote }}
{{- end -}}

{{/* Restarts those who hold the password when it changes. */}}
{{- define "sdcpu.redisChecksum" -}}
{{- if and .Values.redis.enabled (not .Values.redis.auth.existingSecret) -}}
checksum/redis-password: {{ include "sdcpu.redisPassword" . | sha256sum }}
{{- end -}}
{{- end -}}
