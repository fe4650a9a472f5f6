{{/* Refuses values that the schema allows one by one but that cannot work together, all at once. */}}
{{- define "sdcpu.validate" -}}
{{- $faults := list -}}
{{- range $check := list "tdx" "model" "worker" "redis" "exposure" "images" -}}
{{- $found := include (print "sdcpu.validate." $check) $ | trim -}}
{{- if $found -}}{{- $faults = append $faults $found -}}{{- end -}}
{{- end -}}
{{- if $faults -}}
{{- printf "\n%s" (join "\n" $faults) | fail -}}
{{- end -}}
{{- end -}}

{{- define "sdcpu.validate.tdx" -}}
{{- $tdx := .Values.tdx }}
{{- if and $tdx.enabled (eq $tdx.mode "coco") (not $tdx.coco.runtimeClassName) }}
tdx.coco.runtimeClassName is empty; tdx.mode coco needs the runtime class of your TDX guests, such as kata-qemu-tdx.
{{- end }}
{{- if and $tdx.enabled (eq $tdx.mode "coco") (not .Values.networkPolicy.enabled) }}
networkPolicy.enabled is false; with tdx.enabled the parts speak to each other in clear text, so leave it on.
{{- end }}
{{- if and $tdx.enabled (eq $tdx.mode "node") (not $tdx.node.nodeSelector) }}
tdx.node.nodeSelector is empty; tdx.mode node needs the labels of your TDX node pool, such as nodepool-label=tdx-vm-pool.
{{- end }}
{{- if and $tdx.enabled (eq $tdx.mode "node") }}
{{- range $component := list "" "api" "worker" "web" "redis" }}
{{- $selector := empty $component | ternary $.Values.nodeSelector (index $.Values ($component | default "api")).nodeSelector }}
{{- range $key, $value := $tdx.node.nodeSelector }}
{{- if and (hasKey $selector $key) (ne (index $selector $key) $value) }}
{{ ternary "" (print $component ".") (empty $component) }}nodeSelector wants {{ $key }}={{ index $selector $key }} and tdx.node.nodeSelector {{ $key }}={{ $value }}; remove one, or no node fits.
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- if and $tdx.enabled (not .Values.redis.enabled) (not .Values.externalRedis.acceptOutsideTdx) }}
externalRedis sees prompts and pictures, and tdx.enabled cannot move it; set externalRedis.acceptOutsideTdx when it is as trusted as the TDX pool.
{{- end }}
{{- if and $tdx.enabled .Values.safety.url (not .Values.safety.acceptOutsideTdx) }}
safety.url is asked about prompts and pictures, and tdx.enabled cannot move it; set safety.acceptOutsideTdx when it is as trusted as the TDX pool.
{{- end }}
{{- if and $tdx.enabled (eq .Values.results.store "s3") (not .Values.results.s3.acceptOutsideTdx) }}
results.s3 holds pictures, and tdx.enabled cannot move it; set results.s3.acceptOutsideTdx when it is as trusted as the TDX pool.
{{- end }}
{{- end -}}

{{- define "sdcpu.validate.model" -}}
{{- $model := .Values.model }}
{{- if eq $model.source "hub" }}
{{- if not $model.hub.repository }}
model.hub.repository is empty; model.source hub needs owner/name, such as stabilityai/sdxl-turbo.
{{- end }}
{{- if not $model.hub.revision }}
model.hub.revision is empty; give the commit (40 hexadecimal digits), so that all workers draw with the same weights.
{{- end }}
{{- if not $model.hub.acceptLicense }}
model.hub.acceptLicense is false; read the licence of {{ $model.hub.repository | default "the repository" }} and set it to true if you accept it.
{{- end }}
{{- else if and (eq $model.source "pvc") (not $model.pvc.claimName) }}
model.pvc.claimName is empty; model.source pvc needs a claim that holds a model.
{{- else if and (eq $model.source "hostPath") (not $model.hostPath.folder) }}
model.hostPath.folder is empty; model.source hostPath needs a folder of the nodes that holds a model.
{{- else if eq $model.source "image" }}
{{- if not $model.image.reference }}
model.image.reference is empty; model.source image needs an image by digest, such as registry.example.com/models/sdxl-turbo@sha256:….
{{- end }}
{{- if semverCompare "<1.35.0-0" .Capabilities.KubeVersion.Version }}
model.source is image and the cluster is Kubernetes {{ .Capabilities.KubeVersion.Version }}; image volumes are on by default from 1.35. Older clusters drop them silently: use hub or pvc.
{{- end }}
{{- end }}
{{- $isOnce := and $model.storage.persistent (not $model.storage.existingClaim) (eq $model.storage.accessMode "ReadWriteOnce") }}
{{- $most := include "sdcpu.maxWorkers" . | int }}
{{- if and $isOnce (gt $most 1) }}
model.storage.accessMode is ReadWriteOnce and there may be {{ $most }} workers; pods on other nodes could not mount it. Use ReadWriteMany, or one worker.
{{- end }}
{{- end -}}

{{- define "sdcpu.validate.worker" -}}
{{- $worker := .Values.worker }}
{{- $least := add $worker.longestBatchSeconds 10 | int }}
{{- $grace := include "sdcpu.workerGrace" . | int }}
{{- if lt $grace $least }}
worker.terminationGracePeriodSeconds is {{ $grace }}; a batch may take worker.longestBatchSeconds ({{ $worker.longestBatchSeconds }}), so it must be {{ $least }} at least.
{{- end }}
{{- if and $worker.keda.enabled $worker.autoscaling.enabled }}
worker.keda.enabled and worker.autoscaling.enabled are both true; only one can count the workers.
{{- end }}
{{- if and $worker.autoscaling.enabled (lt (int $worker.autoscaling.maxReplicas) (int $worker.autoscaling.minReplicas)) }}
worker.autoscaling.maxReplicas is {{ $worker.autoscaling.maxReplicas }}; it must not be less than minReplicas, which is {{ $worker.autoscaling.minReplicas }}.
{{- end }}
{{- if and $worker.keda.enabled (lt (int $worker.keda.maxReplicas) (int $worker.keda.minReplicas)) }}
worker.keda.maxReplicas is {{ $worker.keda.maxReplicas }}; it must not be less than minReplicas, which is {{ $worker.keda.minReplicas }}.
{{- end }}
{{- if and $worker.keda.enabled (not .Values.redis.enabled) }}
worker.keda.enabled needs this chart's redis to read the queue from; with externalRedis write a ScaledObject of your own.
{{- end }}
{{- $takeover := add (max $worker.lockDurationMs (mul 2 $worker.stalledIntervalMs)) (mul 2 $worker.stalledIntervalMs) | int }}
{{- if gt $takeover 30000 }}
a lost worker's pictures would wait up to {{ $takeover }} ms for another; the limit is 30000. Lower worker.lockDurationMs or worker.stalledIntervalMs.
{{- end }}
{{- end -}}

{{- define "sdcpu.validate.redis" -}}
{{- $external := .Values.externalRedis }}
{{- if and .Values.redis.enabled $external.url }}
redis.enabled is true and externalRedis.url is set; only one can hold the queue. Set redis.enabled to false.
{{- end }}
{{- if and (not .Values.redis.enabled) (not $external.url) }}
redis.enabled is false and externalRedis.url is empty; name the address of your Redis.
{{- end }}
{{- if and (eq $external.mode "standalone") (contains "," $external.url) }}
externalRedis.url names several servers; with externalRedis.mode standalone there is one. Set sentinel or cluster.
{{- end }}
{{- if and $external.tls.secretName (not (hasPrefix "rediss://" $external.url)) }}
externalRedis.tls.secretName is set and externalRedis.url is without TLS; write rediss://.
{{- end }}
{{- if ne (empty $external.tls.certKey) (empty $external.tls.keyKey) }}
externalRedis.tls.certKey and externalRedis.tls.keyKey must be given together.
{{- end }}
{{- if and (eq .Values.results.store "s3") (not .Values.results.s3.bucket) }}
results.s3.bucket is empty; results.store s3 needs one.
{{- end }}
{{- end -}}

{{- define "sdcpu.validate.exposure" -}}
{{- if and .Values.api.webhooks.hosts (not .Values.api.webhooks.secret.name) }}
api.webhooks.secret.name is empty; receivers know webhooks by their signature, so name a Secret with what they are signed with.
{{- end }}
{{- if and .Values.api.keysSecret.name .Values.tests.enabled (not .Values.tests.apiKeySecret.name) }}
api.keysSecret is set and helm test has no key to draw with; name one by tests.apiKeySecret, or set tests.enabled to false.
{{- end }}
{{- range $component := list "api" "web" }}
{{- $own := index $.Values $component }}
{{- if and $own.ingress.enabled (not $own.ingress.host) }}
{{ $component }}.ingress.host is empty; an Ingress without a host would take every request of its controller.
{{- end }}
{{- if and $own.httpRoute.enabled (not $own.httpRoute.parentRefs) }}
{{ $component }}.httpRoute.parentRefs is empty; name the Gateway to attach to.
{{- end }}
{{- end }}
{{- end -}}

{{- define "sdcpu.validate.images" -}}
{{- $tags := dict "image.tag" .Values.image.tag "redis.image.tag" .Values.redis.image.tag }}
{{- range $component := list "api" "worker" "web" }}
{{- $_ := set $tags (print $component ".image.tag") (index $.Values $component).image.tag }}
{{- end }}
{{- range $name, $tag := $tags }}
{{- if eq $tag "latest" }}
{{ $name }} is latest, which changes under a running release; name a version or a digest.
{{- end }}
{{- end }}
{{- end -}}
