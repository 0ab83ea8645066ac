"""`spec.resources` and `spec.pod`: what each pod gets and where it runs. Placement only, never a pod template."""

from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from embedding_operator.api.fields import Quantity, SecretReference, SpecModel
from embedding_operator.api.rules import ListMap, Pattern, Rule, with_rules

LABEL_VALUE: Final = r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?"

_RESOURCE_NAMES = Rule(
    "self.all(k, k in ['cpu', 'memory', 'ephemeral-storage'] || k.contains('/'))",
    "write cpu, memory, ephemeral-storage, or the full name of an extended resource, for example nvidia.com/gpu",
)
_WHOLE_DEVICES = Rule(
    "self.all(k, !k.contains('/') || string(self[k]).matches('^[0-9]{1,4}$'))",
    "devices are counted in whole numbers: write for example nvidia.com/gpu: 1",
)
LabelValue = Annotated[
    str,
    Field(max_length=63),
    Pattern(LABEL_VALUE, "write a label value: at most 63 letters, digits, '-', '_' or '.'"),
]
ResourceMap = Annotated[
    dict[Annotated[str, Field(max_length=253)], Quantity], Field(max_length=16), _RESOURCE_NAMES, _WHOLE_DEVICES
]


class ResourcesSpec(SpecModel):
    """Resources of each serving pod, as for any container."""

    model_config = with_rules(
        Rule(
            "!has(self.requests) || self.requests.all(k, !k.contains('/') || "
            "(has(self.limits) && k in self.limits && string(self.limits[k]) == string(self.requests[k])))",
            "an extended resource such as nvidia.com/gpu belongs into limits; a request for it must be equal",
        ),
        Rule(
            "!has(self.requests) || !has(self.limits) || self.requests.all(k, !(k in self.limits) || "
            "quantity(string(self.requests[k])).compareTo(quantity(string(self.limits[k]))) <= 0)",
            "a request must not be larger than the limit of the same resource",
        ),
    )

    requests: ResourceMap = Field(
        default_factory=dict, description="What the scheduler reserves for each pod, for example cpu: 2."
    )
    limits: ResourceMap = Field(
        default_factory=dict,
        description="The most a pod may use; devices such as nvidia.com/gpu: 1 are asked for here.",
    )


class TolerationOperator(StrEnum):
    EXISTS = "Exists"
    EQUAL = "Equal"


class TaintEffect(StrEnum):
    NO_SCHEDULE = "NoSchedule"
    PREFER_NO_SCHEDULE = "PreferNoSchedule"
    NO_EXECUTE = "NoExecute"


class Toleration(SpecModel):
    """A taint that the pods tolerate, as in any pod."""

    model_config = with_rules(
        Rule(
            "has(self.key) || (has(self.operator) && self.operator == 'Exists')",
            "a toleration without key tolerates every taint and needs operator: Exists; else set key",
        ),
        Rule(
            "!(has(self.operator) && self.operator == 'Exists' && has(self.value))",
            "a toleration with operator: Exists has no value: remove value, or write operator: Equal",
        ),
        Rule(
            "!has(self.tolerationSeconds) || (has(self.effect) && self.effect == 'NoExecute')",
            "tolerationSeconds goes only with effect: NoExecute",
        ),
    )

    key: Annotated[str | None, Field(min_length=1, max_length=317, description="Key of the taint.")] = None
    operator: Annotated[TolerationOperator | None, Field(description="Exists, or Equal to `value`. Unset: Equal.")] = (
        None
    )
    value: Annotated[LabelValue | None, Field(description="Value of the taint, with operator Equal.")] = None
    effect: Annotated[TaintEffect | None, Field(description="Effect of the taint. Unset: all effects.")] = None
    toleration_seconds: Annotated[
        int | None,
        Field(ge=0, le=2**31 - 1, description="Seconds that a NoExecute taint is tolerated. Unset: for ever."),
    ] = None


class PodSpec(SpecModel):
    """Where the pods run. Placement only."""

    node_selector: Annotated[dict[Annotated[str, Field(max_length=317)], LabelValue], Field(max_length=32)] = Field(
        default_factory=dict, description="Labels that a node must have, in addition to the profile's."
    )
    tolerations: Annotated[
        tuple[Toleration, ...],
        Field(max_length=32, description="Taints that the pods tolerate, in addition to the profile's."),
    ] = ()
    image_pull_secrets: Annotated[
        tuple[SecretReference, ...],
        Field(
            max_length=8,
            description=(
                "Secrets of the same namespace that the kubelet pulls the runtime image with, and that the image of "
                "spec.model.image is pulled with."
            ),
        ),
        ListMap(),
    ] = ()
