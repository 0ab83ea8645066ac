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
  {{- $own := default dict $profile.image }}
  {{- $shared := deepCopy $.Values.runtime.image }}
  {{- /* A shared digest names the shared repository's bytes: it must not win over what the profile says itself. */}}
  {{- if or $own.repository $own.tag $own.digest }}
  {{- $shared = omit $shared "digest" }}
  {{- end }}
  {{- $image := mergeOverwrite $shared (deepCopy $own) }}
  {{- if not $image.repository }}
  {{- fail (printf "runtime.image.repository: set it to where the runtime image is, or set profiles.%s.image.repository" $name) }}
  {{- end }}
  {{ $name }}:
    image: {{ include "embedding-operator.image" (dict "image" $image "appVersion" $.Chart.AppVersion) | quote }}
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
