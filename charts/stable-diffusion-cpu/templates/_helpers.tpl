{{/* Name of the API's objects; the others add their own word to it. */}}
{{- define "sdcpu.name" -}}
{{- .Values.fullnameOverride | default .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* Name of a component's objects. Call: include "sdcpu.componentName" (list $ "worker") */}}
{{- define "sdcpu.componentName" -}}
{{- $suffix := get (dict "api" "" "worker" "-worker" "web" "-webui" "redis" "-redis" "test" "-test") (index . 1) -}}
{{- include "sdcpu.name" (index . 0) -}}{{- $suffix -}}
{{- end -}}

{{/* Labels that select a component's pods; they can never change. Call: (list $ "worker") */}}
{{- define "sdcpu.selectorLabels" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ $root.Chart.Name }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{/* Labels of a component's objects and pods. Call: (list $ "worker") */}}
{{- define "sdcpu.labels" -}}
{{- $root := index . 0 -}}
{{ include "sdcpu.selectorLabels" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
app.kubernetes.io/part-of: {{ $root.Chart.Name }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
{{- with $root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Image of one of our components. Call: (list $ "worker") */}}
{{- define "sdcpu.image" -}}
{{- $root := index . 0 -}}
{{- $image := (index $root.Values (index . 1)).image -}}
{{- with $root.Values.image.registry }}{{ trimSuffix "/" . }}/{{ end -}}
{{- $image.repository -}}
{{- if $image.digest -}}@{{ $image.digest }}
{{- else -}}:{{ $image.tag | default $root.Values.image.tag | default $root.Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{- define "sdcpu.redisImage" -}}
{{- with .Values.redis.image -}}
{{- with .registry }}{{ trimSuffix "/" . }}/{{ end -}}
{{- .repository -}}
{{- if .digest -}}@{{ .digest }}{{- else -}}:{{ .tag }}{{- end -}}
{{- end -}}
{{- end -}}

{{/* An amount of memory in MiB. Call with "2Gi" or "512Mi"; the schema allows no other form. */}}
{{- define "sdcpu.mebibytes" -}}
{{- $number := regexFind "^[0-9]+" . | int64 -}}
{{- if hasSuffix "Gi" . -}}{{ mul $number 1024 }}{{- else -}}{{ $number }}{{- end -}}
{{- end -}}

{{/* Memory of a container; guests of Confidential Containers need more. Call: (list $ "512Mi") */}}
{{- define "sdcpu.memory" -}}
{{- $root := index . 0 -}}
{{- if eq (include "sdcpu.isCoco" $root) "true" -}}
{{- mulf (include "sdcpu.mebibytes" (index . 1) | int64) $root.Values.tdx.coco.memoryFactor | ceil | int64 -}}Mi
{{- else -}}
{{- index . 1 -}}
{{- end -}}
{{- end -}}

{{- define "sdcpu.isCoco" -}}
{{- and .Values.tdx.enabled (eq .Values.tdx.mode "coco") -}}
{{- end -}}

{{/* "true" when something other than this chart counts the workers. */}}
{{- define "sdcpu.workersAreScaled" -}}
{{- or .Values.worker.keda.enabled .Values.worker.autoscaling.enabled -}}
{{- end -}}

{{/* Most workers there can be. */}}
{{- define "sdcpu.maxWorkers" -}}
{{- if .Values.worker.keda.enabled -}}{{ .Values.worker.keda.maxReplicas }}
{{- else if .Values.worker.autoscaling.enabled -}}{{ .Values.worker.autoscaling.maxReplicas }}
{{- else -}}{{ .Values.worker.replicas }}{{- end -}}
{{- end -}}

{{- define "sdcpu.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "sdcpu.name" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{/* Seconds between SIGTERM and SIGKILL of a worker. */}}
{{- define "sdcpu.workerGrace" -}}
{{- .Values.worker.terminationGracePeriodSeconds | default (add .Values.worker.longestBatchSeconds 15) -}}
{{- end -}}
