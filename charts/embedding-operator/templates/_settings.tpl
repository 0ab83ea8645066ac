{{- define "embedding-operator.settings" -}}
hub: {{ .Values.hub | toJson }}
registries: {{ .Values.registries | toJson }}
imageVolumes: {{ .Values.imageVolumes }}
proxy: {{ .Values.proxy | toJson }}
upgradePolicy: {{ .Values.runtime.upgradePolicy }}
watchNamespaces: {{ .Values.watchNamespaces | toJson }}
workers: {{ .Values.workers }}
resyncSeconds: {{ .Values.resyncSeconds }}
audit: {{ .Values.audit | toJson }}
imagePullSecrets: {{ .Values.runtime.imagePullSecrets | toJson }}
{{- if not (hasKey .Values.profiles .Values.runtime.defaultProfile) }}
{{- fail (printf "runtime.defaultProfile: expected one of profiles (%s), found %s" (keys .Values.profiles | sortAlpha | join ", ") .Values.runtime.defaultProfile) }}
{{- end }}
defaultProfile: {{ .Values.runtime.defaultProfile | quote }}
profiles:
{{- range $name, $profile := .Values.profiles }}
  {{- $image := include "embedding-operator.profileImage" (dict "own" $profile.image "shared" $.Values.runtime.image) | fromJson }}
  {{- if not $image.repository }}
  {{- fail (printf "runtime.image.repository: set it to where the runtime image is, or set profiles.%s.image.repository" $name) }}
  {{- end }}
  {{- $reference := include "embedding-operator.profileImage" (dict "own" $profile.referenceImage "shared" $.Values.runtime.referenceImage) | fromJson }}
  {{- if not $reference.repository }}
  {{- fail (printf "runtime.referenceImage.repository: set it to where the reference image is, or set profiles.%s.referenceImage.repository" $name) }}
  {{- end }}
  {{ $name }}:
    image: {{ include "embedding-operator.image" (dict "image" $image "appVersion" $.Chart.AppVersion) | quote }}
    referenceImage: {{ include "embedding-operator.image" (dict "image" $reference "appVersion" $.Chart.AppVersion) | quote }}
    imagePullPolicy: {{ $image.pullPolicy }}
    device: {{ $profile.device }}
    {{- with $profile.resources }}
    resources:
      {{- range $kind, $quantities := . }}
      {{ $kind }}:
        {{- include "embedding-operator.quantities" $quantities | trim | nindent 8 }}
      {{- end }}
    {{- end }}
    nodeSelector: {{ default dict $profile.nodeSelector | toJson }}
    tolerations: {{ default list $profile.tolerations | toJson }}
    runtimeClassName: {{ default "" $profile.runtimeClassName | quote }}
{{- end }}
{{- end }}

{{- /* What a profile says of an image, over what all of them share, as JSON. */ -}}
{{- define "embedding-operator.profileImage" -}}
{{- $own := default dict .own }}
{{- $shared := deepCopy .shared }}
{{- /* A shared digest names the shared repository's bytes: it must not win over what the profile says itself. */}}
{{- if or $own.repository $own.tag $own.digest }}
{{- $shared = omit $shared "digest" }}
{{- end }}
{{- mergeOverwrite $shared (deepCopy $own) | toJson }}
{{- end }}
