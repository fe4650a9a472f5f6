{{/* Head of a component's NetworkPolicy. Call: (list $ "worker") */}}
{{- define "sdcpu.networkPolicy" -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ include "sdcpu.componentName" . }}
  labels:
    {{- include "sdcpu.labels" . | nindent 4 }}
spec:
  podSelector:
    matchLabels:
      {{- include "sdcpu.selectorLabels" . | nindent 6 }}
  policyTypes: [Ingress, Egress]
{{- end -}}

{{/* A peer: a component's pods. Call: (list $ "worker") */}}
{{- define "sdcpu.peer" -}}
- podSelector:
    matchLabels:
      {{- include "sdcpu.selectorLabels" . | nindent 6 }}
{{- end -}}

{{/* Names may be resolved anywhere: node-local caches are not pods that a selector finds. */}}
{{- define "sdcpu.egressDns" -}}
- ports:
    - {protocol: UDP, port: 53}
    - {protocol: TCP, port: 53}
{{- end -}}

{{/* To address ranges, or everywhere. Call: (list cidrs) */}}
{{- define "sdcpu.toCidrs" -}}
{{- with index . 0 -}}
to:
{{- range . }}
  - ipBlock: {cidr: {{ . | quote }}}
{{- end }}
{{- end -}}
{{- end -}}

{{- define "sdcpu.egressRedis" -}}
{{- if .Values.redis.enabled -}}
- to:
    {{- include "sdcpu.peer" (list . "redis") | nindent 4 }}
  ports:
    - {protocol: TCP, port: 6379}
{{- else -}}
- ports:
    {{- range (concat (regexFindAll ":[0-9]+" .Values.externalRedis.url -1) .Values.networkPolicy.redisPorts | default (list 6379)) }}
    - {protocol: TCP, port: {{ . | toString | trimPrefix ":" }}}
    {{- end }}
  {{- with include "sdcpu.toCidrs" (list .Values.networkPolicy.redisCidrs) }}
  {{- . | nindent 2 }}
  {{- end }}
{{- end -}}
{{- end -}}

{{/* What api and workers reach beside Redis: bucket, safety service, what the values add. */}}
{{- define "sdcpu.egressOutside" -}}
{{- $rules := compact (list (include "sdcpu.egressS3" .) (include "sdcpu.egressSafety" .)) -}}
{{- with .Values.networkPolicy.extraEgress }}{{- $rules = append $rules (toYaml .) -}}{{- end -}}
{{- join "\n" $rules -}}
{{- end -}}

{{- define "sdcpu.egressSafety" -}}
{{- with .Values.safety.url -}}
- ports:
    - {protocol: TCP, port: {{ include "sdcpu.urlPort" . }}}
{{- end -}}
{{- end -}}

{{/* Port that a URL leads to. */}}
{{- define "sdcpu.urlPort" -}}
{{- regexFind ":[0-9]+" . | trimPrefix ":" | default (hasPrefix "http://" . | ternary "80" "443") -}}
{{- end -}}

{{/* The bucket, where there is one. */}}
{{- define "sdcpu.egressS3" -}}
{{- if eq .Values.results.store "s3" -}}
- ports:
    - {protocol: TCP, port: {{ include "sdcpu.urlPort" .Values.results.s3.endpoint }}}
  {{- with include "sdcpu.toCidrs" (list .Values.networkPolicy.s3Cidrs) }}
  {{- . | nindent 2 }}
  {{- end }}
{{- end -}}
{{- end -}}

{{/* Callers from outside: those that the values name, or everybody. */}}
{{- define "sdcpu.ingressFrom" -}}
{{- $root := index . 0 -}}
- ports:
    - {protocol: TCP, port: {{ index . 2 }}}
  {{- with $root.Values.networkPolicy.from }}
  from:
    {{- toYaml . | nindent 4 }}
    {{- include "sdcpu.peer" (list $root "test") | nindent 4 }}
    {{- if eq (index $ 1) "api" }}
    {{- include "sdcpu.peer" (list $root "web") | nindent 4 }}
    {{- end }}
    {{- if $root.Values.monitoring.serviceMonitor.enabled }}
    {{- include "sdcpu.peerPrometheus" $root | nindent 4 }}
    {{- end }}
  {{- end }}
{{- end -}}

{{- define "sdcpu.peerPrometheus" -}}
- namespaceSelector:
    matchLabels:
      kubernetes.io/metadata.name: {{ .Values.monitoring.namespace }}
{{- end -}}
