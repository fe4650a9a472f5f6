{{/* The Service of api or web. Call: (list $ "web" 5001) */}}
{{- define "sdcpu.service" -}}
{{- $root := index . 0 -}}
{{- $call := list $root (index . 1) -}}
{{- $service := (index $root.Values (index . 1)).service -}}
apiVersion: v1
kind: Service
metadata:
  name: {{ include "sdcpu.componentName" $call }}
  labels:
    {{- include "sdcpu.labels" $call | nindent 4 }}
  {{- with $service.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  type: {{ $service.type }}
  ports:
    - name: http
      port: {{ index . 2 }}
      targetPort: http
      {{- if and (eq $service.type "NodePort") $service.nodePort }}
      nodePort: {{ $service.nodePort }}
      {{- end }}
  selector:
    {{- include "sdcpu.selectorLabels" $call | nindent 4 }}
{{- end -}}

{{/* The Ingress of api or web. Call: (list $ "web") */}}
{{- define "sdcpu.ingress" -}}
{{- $root := index . 0 -}}
{{- $ingress := (index $root.Values (index . 1)).ingress -}}
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: {{ include "sdcpu.componentName" . }}
  labels:
    {{- include "sdcpu.labels" . | nindent 4 }}
  {{- with $ingress.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  {{- with $ingress.className }}
  ingressClassName: {{ . }}
  {{- end }}
  {{- with $ingress.tlsSecret }}
  tls:
    - secretName: {{ . }}
      hosts: [{{ $ingress.host | quote }}]
  {{- end }}
  rules:
    - host: {{ $ingress.host | quote }}
      http:
        paths:
          - path: /
            pathType: Prefix
            backend:
              service:
                name: {{ include "sdcpu.componentName" . }}
                port:
                  name: http
{{- end -}}

{{/* The HTTPRoute of api or web. Call: (list $ "web" 5001) */}}
{{- define "sdcpu.httpRoute" -}}
{{- $root := index . 0 -}}
{{- $call := list $root (index . 1) -}}
{{- $route := (index $root.Values (index . 1)).httpRoute -}}
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: {{ include "sdcpu.componentName" $call }}
  labels:
    {{- include "sdcpu.labels" $call | nindent 4 }}
spec:
  parentRefs:
    {{- toYaml $route.parentRefs | nindent 4 }}
  {{- with $route.hostnames }}
  hostnames:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  rules:
    - matches:
        - path: {type: PathPrefix, value: /}
      backendRefs:
        - name: {{ include "sdcpu.componentName" $call }}
          port: {{ index . 2 }}
{{- end -}}

{{/* Lets one pod at a time go; nothing where there is one pod only. Call: (list $ "web" replicas) */}}
{{- define "sdcpu.disruptionBudget" -}}
{{- $call := list (index . 0) (index . 1) -}}
{{- if gt (index . 2 | int) 1 -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ include "sdcpu.componentName" $call }}
  labels:
    {{- include "sdcpu.labels" $call | nindent 4 }}
spec:
  maxUnavailable: 1
  selector:
    matchLabels:
      {{- include "sdcpu.selectorLabels" $call | nindent 6 }}
{{- end -}}
{{- end -}}
