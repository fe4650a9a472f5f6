{{/* Whole CPUs, and the limit asked for: Guaranteed, which is what pins threads to cores where a node does that. */}}
{{- define "sdcpu.workerResources" -}}
{{- $memory := include "sdcpu.workerMemory" . -}}
requests:
  cpu: {{ .Values.worker.cpu }}
  memory: {{ $memory }}
  {{- if ne (include "sdcpu.storageIsShared" .) "true" }}
  ephemeral-storage: {{ include "sdcpu.storageSize" . }}
  {{- end }}
limits:
  cpu: {{ .Values.worker.cpu }}
  memory: {{ $memory }}
{{- end -}}

{{/* What preparing a model needs to know. */}}
{{- define "sdcpu.modelEnv" -}}
- name: MODEL
  value: {{ include "sdcpu.model" . | quote }}
- name: DATA_DIR
  value: /models
- name: PLAN
  value: {{ .Values.worker.plan }}
{{- with .Values.worker.threads }}
- name: THREADS
  value: {{ . | quote }}
{{- end }}
{{- with include "sdcpu.hubEnv" . }}
{{ . }}
{{- end }}
{{- end -}}

{{- define "sdcpu.workerEnv" -}}
- name: HOST
  value: {{ .Values.host | quote }}
- name: WORKER_PORT
  value: "5002"
{{ include "sdcpu.redisEnv" . }}
{{ include "sdcpu.modelEnv" . }}
- name: MODEL_NAME
  value: {{ include "sdcpu.modelName" . | quote }}
- name: MODEL_CHECK
  value: {{ .Values.worker.modelCheck }}
- name: BATCH_MAX_SIZE
  value: {{ .Values.worker.batchMaxSize | quote }}
- name: BATCH_WINDOW_MS
  value: {{ .Values.worker.batchWindowMs | quote }}
- name: MEMORY_LIMIT_BYTES
  valueFrom:
    resourceFieldRef:
      containerName: worker
      resource: limits.memory
{{ include "sdcpu.storeEnv" . }}
{{- with include "sdcpu.safetyEnv" . }}
{{ . }}
{{- end }}
- name: LOCK_DURATION_MS
  value: {{ .Values.worker.lockDurationMs | quote }}
- name: STALLED_INTERVAL_MS
  value: {{ .Values.worker.stalledIntervalMs | quote }}
- name: SHUTDOWN_GRACE_SECONDS
  value: {{ .Values.worker.longestBatchSeconds | quote }}
- name: LOG_LEVEL
  value: {{ .Values.logLevel }}
- name: LOG_PROMPTS
  value: {{ .Values.logPrompts | quote }}
{{- end -}}
