{{/* The model as the worker finds it. */}}
{{- define "sdcpu.model" -}}
{{- $model := .Values.model -}}
{{- if eq $model.source "demo" -}}demo
{{- else if eq $model.source "hub" -}}{{ $model.hub.repository }}@{{ $model.hub.revision }}
{{- else -}}{{ printf "/source/%s" (index $model $model.source).path | trimSuffix "/" }}
{{- end -}}
{{- end -}}

{{/* The name it is offered by, which also names the queue. */}}
{{- define "sdcpu.modelName" -}}
{{- $model := .Values.model -}}
{{- if $model.name -}}{{ $model.name }}
{{- else if eq $model.source "demo" -}}demo
{{- else if eq $model.source "hub" -}}{{ $model.hub.repository }}
{{- else -}}
{{- $whole := dict "pvc" $model.pvc.claimName "hostPath" $model.hostPath.folder "image" (regexReplaceAll "[:@].*$" (base $model.image.reference) "") -}}
{{- (index $model $model.source).path | default (get $whole $model.source) | base | trimSuffix ".safetensors" -}}
{{- end -}}
{{- end -}}

{{/* What files/presets.yaml says of the model. */}}
{{- define "sdcpu.preset" -}}
{{- $presets := .Files.Get "files/presets.yaml" | fromYaml -}}
{{- $kind := eq .Values.model.source "demo" | ternary "demo" "sdxl" -}}
{{- index $presets $kind .Values.worker.plan | toYaml -}}
{{- end -}}

{{- define "sdcpu.workerMemory" -}}
{{- $preset := include "sdcpu.preset" . | fromYaml -}}
{{- include "sdcpu.memory" (list . (.Values.worker.memory | default (index $preset.memory .Values.worker.largestSize))) -}}
{{- end -}}

{{- define "sdcpu.storageSize" -}}
{{- $preset := include "sdcpu.preset" . | fromYaml -}}
{{- .Values.model.storage.size | default $preset.storage -}}
{{- end -}}

{{- define "sdcpu.storageClaim" -}}
{{- .Values.model.storage.existingClaim | default (printf "%s-models" (include "sdcpu.name" .)) -}}
{{- end -}}

{{/* "true" when all workers share one volume for downloads and compiled models. */}}
{{- define "sdcpu.storageIsShared" -}}
{{- or .Values.model.storage.persistent (ne .Values.model.storage.existingClaim "") -}}
{{- end -}}

{{- define "sdcpu.modelVolumes" -}}
- name: models
  {{- if eq (include "sdcpu.storageIsShared" .) "true" }}
  persistentVolumeClaim:
    claimName: {{ include "sdcpu.storageClaim" . }}
  {{- else }}
  emptyDir:
    sizeLimit: {{ include "sdcpu.storageSize" . }}
  {{- end }}
{{- with .Values.model }}
{{- if eq .source "pvc" }}
- name: source
  persistentVolumeClaim:
    claimName: {{ .pvc.claimName }}
    readOnly: true
{{- else if eq .source "hostPath" }}
- name: source
  hostPath:
    path: {{ .hostPath.folder }}
{{- else if eq .source "image" }}
- name: source
  image:
    reference: {{ .image.reference }}
    pullPolicy: {{ .image.pullPolicy }}
{{- end }}
{{- if and (eq .source "hub") .hub.tokenSecret.name }}
- name: hub-token
  secret:
    secretName: {{ .hub.tokenSecret.name }}
    defaultMode: 0440
    items:
      - key: {{ .hub.tokenSecret.key }}
        path: token
{{- end }}
{{- end }}
{{- end -}}

{{/* Where the volumes are mounted. Only the init container writes. Call: (list $ "write") or (list $ "read") */}}
{{- define "sdcpu.modelMounts" -}}
{{- $model := (index . 0).Values.model -}}
- name: models
  mountPath: /models
  {{- if eq (index . 1) "read" }}
  readOnly: true
  {{- end }}
{{- if has $model.source (list "pvc" "hostPath" "image") }}
- name: source
  mountPath: /source
  readOnly: true
{{- end }}
{{- if and (eq $model.source "hub") $model.hub.tokenSecret.name }}
- name: hub-token
  mountPath: /run/secrets/hub
  readOnly: true
{{- end }}
{{- end -}}

{{- define "sdcpu.hubEnv" -}}
{{- if eq .Values.model.source "hub" -}}
{{- with .Values.model.hub -}}
- name: HF_ENDPOINT
  value: {{ .endpoint | quote }}
{{- if .tokenSecret.name }}
- name: HF_TOKEN_PATH
  value: /run/secrets/hub/token
{{- end }}
{{- with .proxy.http }}
- name: HTTP_PROXY
  value: {{ . | quote }}
{{- end }}
{{- with .proxy.https }}
- name: HTTPS_PROXY
  value: {{ . | quote }}
{{- end }}
{{- with .proxy.except }}
- name: NO_PROXY
  value: {{ . | quote }}
{{- end }}
{{- end }}
{{- end -}}
{{- end -}}

{{/* Name of the queue, as packages/contract makes it of the model's name. */}}
{{- define "sdcpu.queueName" -}}
images.{{ regexReplaceAllLiteral "[^\\w.-]" (include "sdcpu.modelName" . | replace "/" "--") "-" }}
{{- end -}}
