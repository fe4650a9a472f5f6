{{/* Labels of a component's pods: no versions, so that a new chart alone restarts nothing. Call: (list $ "worker") */}}
{{- define "sdcpu.podLabels" -}}
{{- include "sdcpu.selectorLabels" . -}}
{{- with (index . 0).Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Annotations of a component's pods, beside checksums. Call: (list $ "worker") */}}
{{- define "sdcpu.podAnnotations" -}}
{{- $root := index . 0 -}}
{{- $all := $root.Values.podAnnotations -}}
{{- if eq (include "sdcpu.isCoco" $root) "true" -}}
{{- $all = merge (dict) $root.Values.tdx.coco.podAnnotations $all -}}
{{- end -}}
{{- with merge (dict) (index $root.Values (index . 1)).podAnnotations $all -}}
{{ toYaml . }}
{{- end -}}
{{- end -}}

{{/* What all pods have in common: where they run, and as whom. Call: (list $ "worker") */}}
{{- define "sdcpu.podSpec" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
{{- $own := index $root.Values $component | default dict -}}
{{- $tdx := $root.Values.tdx -}}
{{- $isTdxNode := and $tdx.enabled (eq $tdx.mode "node") -}}
{{- $nodeSelector := $own.nodeSelector | default $root.Values.nodeSelector -}}
{{- $tolerations := $own.tolerations | default $root.Values.tolerations -}}
{{- if $isTdxNode -}}
{{- $nodeSelector = merge (dict) ($tdx.node.nodeSelector | default dict) ($nodeSelector | default dict) -}}
{{- $tolerations = concat ($tolerations | default list) ($tdx.node.tolerations | default list) -}}
{{- end -}}
serviceAccountName: {{ include "sdcpu.serviceAccountName" $root }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with $root.Values.image.pullSecrets }}
imagePullSecrets:
{{- range . }}
  - name: {{ . }}
{{- end }}
{{- end }}
{{- if eq (include "sdcpu.isCoco" $root) "true" }}
runtimeClassName: {{ $tdx.coco.runtimeClassName }}
{{- end }}
{{- with $own.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $own.affinity | default $root.Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  {{- if eq $component "redis" }}
  # The user of Valkey's and Redis' images.
  runAsUser: 999
  runAsGroup: 1000
  fsGroup: 1000
  {{- else }}
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  {{- end }}
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile:
    type: RuntimeDefault
{{- end -}}

{{/* Spreads a component's pods over nodes and zones where that costs nothing. Call: (list $ "worker") */}}
{{- define "sdcpu.spread" -}}
topologySpreadConstraints:
{{- range $key := list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
  - maxSkew: 1
    topologyKey: {{ $key }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "sdcpu.selectorLabels" $ | nindent 8 }}
{{- end }}
{{- end -}}

{{- define "sdcpu.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* Requests of a part that need not be fast, and a limit of its memory. Call: (list $ "api") */}}
{{- define "sdcpu.resources" -}}
{{- $own := index (index . 0).Values (index . 1) -}}
{{- $memory := include "sdcpu.memory" (list (index . 0) $own.memory) -}}
requests:
  cpu: {{ $own.cpu | quote }}
  memory: {{ $memory }}
limits:
  memory: {{ $memory }}
{{- end -}}
