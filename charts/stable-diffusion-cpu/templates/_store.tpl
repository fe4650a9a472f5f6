{{/* Whom api and worker ask about prompts and pictures. */}}
{{- define "sdcpu.safetyEnv" -}}
{{- if .Values.safety.url -}}
- name: SAFETY_URL
  value: {{ .Values.safety.url | quote }}
- name: SAFETY_TIMEOUT_MS
  value: {{ .Values.safety.timeoutMs | quote }}
- name: SAFETY_ON_FAILURE
  value: {{ .Values.safety.onFailure }}
{{- end -}}
{{- end -}}

{{/* Where pictures are kept, as api and worker are told. */}}
{{- define "sdcpu.storeEnv" -}}
{{- $s3 := .Values.results.s3 -}}
- name: PICTURE_STORE
  value: {{ .Values.results.store }}
{{- if eq .Values.results.store "s3" }}
- name: S3_BUCKET
  value: {{ $s3.bucket | quote }}
- name: S3_PREFIX
  value: {{ $s3.prefix | quote }}
{{- with $s3.endpoint }}
- name: S3_ENDPOINT
  value: {{ . | quote }}
{{- end }}
- name: S3_REGION
  value: {{ $s3.region | quote }}
- name: S3_PATH_STYLE
  value: {{ $s3.pathStyle | quote }}
{{- with $s3.credentialsSecret }}
{{- if .name }}
{{ include "sdcpu.secretEnv" (list "AWS_ACCESS_KEY_ID" .name .idKey) }}
{{ include "sdcpu.secretEnv" (list "AWS_SECRET_ACCESS_KEY" .name .secretKey) }}
{{- end }}
{{- end }}
{{- end }}
- name: RESULT_TTL_SECONDS
  value: {{ .Values.results.ttlSeconds | quote }}
{{- end -}}
