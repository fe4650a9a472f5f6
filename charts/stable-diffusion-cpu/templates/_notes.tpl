{{- define "sdcpu.notes" -}}
{{- $name := include "sdcpu.name" . -}}
{{- $web := include "sdcpu.componentName" (list . "web") -}}
{{- $ns := .Release.Namespace -}}
{{ .Chart.Name }} {{ .Chart.AppVersion }} is installed as {{ .Release.Name }}, with the model {{ include "sdcpu.modelName" . }}.

Wait until a worker can draw ({{ if eq .Values.model.source "demo" }}seconds{{ else if eq .Values.model.source "hub" }}the first time it downloads and compiles the model, which takes minutes{{ else }}the first time it may compile the model, which takes minutes{{ end }}):

  kubectl --namespace {{ $ns }} rollout status deployment/{{ include "sdcpu.componentName" (list . "worker") }}
{{ range $component := list "web" "api" }}
{{- $own := index $.Values $component }}
{{- $isOn := or (eq $component "api") $.Values.web.enabled }}
{{- $service := include "sdcpu.componentName" (list $ $component) }}
{{- $port := ternary 5001 5000 (eq $component "web") }}
{{- if $isOn }}
{{ ternary "The page:" "The API:" (eq $component "web") }}
{{ if $own.ingress.enabled }}
  {{ ternary "https" "http" (ne $own.ingress.tlsSecret "") }}://{{ $own.ingress.host }}/
{{- else if and $own.httpRoute.enabled $own.httpRoute.hostnames }}
  http(s)://{{ first $own.httpRoute.hostnames }}/ by the Gateway {{ (first $own.httpRoute.parentRefs).name }}
{{- else if $own.httpRoute.enabled }}
  kubectl --namespace {{ $ns }} get httproute {{ $service }} -o yaml   # says by which Gateway it was accepted
{{- else if eq $own.service.type "LoadBalancer" }}
  kubectl --namespace {{ $ns }} get service {{ $service }} --watch   # until it has an EXTERNAL-IP; port {{ $port }}
{{- else if eq $own.service.type "NodePort" }}
  kubectl --namespace {{ $ns }} get service {{ $service }} -o jsonpath='{.spec.ports[0].nodePort}'   # on any node's address
{{- else }}
  kubectl --namespace {{ $ns }} port-forward svc/{{ $service }} {{ $port }}:{{ $port }}
  # then http://127.0.0.1:{{ $port }}/{{ ternary "" "api/v1/images" (eq $component "web") }}
{{- end }}
{{ end }}
{{- end }}
{{- if .Values.tests.enabled }}
Draw a picture through the services:

  helm --namespace {{ $ns }} test {{ .Release.Name }}
{{ end }}
{{- if .Values.tdx.enabled }}
TDX: every pod {{ if eq .Values.tdx.mode "node" }}runs on nodes with {{ range $key, $value := .Values.tdx.node.nodeSelector }}{{ $key }}={{ $value }} {{ end }}; the node is the boundary, whoever administers the cluster is inside it{{ else }}is a guest of runtime class {{ .Values.tdx.coco.runtimeClassName }}{{ end }}. Nothing has been attested.
{{ end }}
{{- if and .Values.redis.enabled (ne (include "sdcpu.redisPersists" .) "true") }}
The queue and the pictures are {{ ternary "on the node's disk and" "in memory and" (eq (include "sdcpu.redisOnDisk" .) "true") }} lost with redis' pod{{ if not .Values.tdx.enabled }}; redis.persistence.enabled keeps them{{ end }}.
{{ end }}
{{- if eq .Values.model.source "hostPath" }}
model.source hostPath: namespaces that enforce Pod Security baseline or restricted refuse the workers.
{{ end }}
{{- if not .Values.api.keysSecret.name }}
There are no keys: whoever reaches the services can draw. api.keysSecret asks for them.
{{ end }}
{{- end -}}
