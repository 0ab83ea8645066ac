"""What the reasons mean that a model, a file or an override is refused with, and what to do about each."""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from embedding_model.refusal import Reason as RefusalReason


@dataclass(frozen=True)
class Explanation:
    """`doc`: what happened. `remedy`: what to do about it."""

    doc: str
    remedy: str


REFUSALS: Final = MappingProxyType(
    {
        RefusalReason.MISSING_FILE: Explanation(
            "A file that the model needs is not in the source.",
            "Add the file to the source, or point the spec at the right folder or revision.",
        ),
        RefusalReason.INVALID_FILE: Explanation(
            "A file of the model cannot be read as what its name says.",
            "Repair the file that the message names, or take another revision.",
        ),
        RefusalReason.UNSAFE_PATH: Explanation(
            "A file's path leaves the model's folder.",
            "Take another source: a file list with such paths is damaged or hostile.",
        ),
        RefusalReason.TOO_LARGE: Explanation(
            "A file is larger than any such file should be.",
            "Take the file out of the source, or take another source.",
        ),
        RefusalReason.HASH_MISMATCH: Explanation(
            "A file's bytes are not those that were resolved; the message has both hashes.",
            "Restore the bytes, or resolve what is there now by the annotation embedding-operator.dev/requestedAt.",
        ),
        RefusalReason.UNSUPPORTED_FORMAT: Explanation(
            "The weights are in a format that is not served.",
            "Publish the weights as safetensors.",
        ),
        RefusalReason.PICKLE_ONLY: Explanation(
            "The weights exist only as pickle, which can execute code; safetensors are needed.",
            "Publish the weights as safetensors, or set spec.model.conversion: Isolated.",
        ),
        RefusalReason.ADAPTER_ONLY: Explanation(
            "The source holds an adapter without its base model.",
            "Merge the adapter into its base model and publish the result.",
        ),
        RefusalReason.UNSUPPORTED_ARCHITECTURE: Explanation(
            "The model's architecture is not served.",
            "Take a model of a family in the table of supported models.",
        ),
        RefusalReason.REMOTE_CODE_REQUIRED: Explanation(
            "The model needs Python code of its repository, which is never executed.",
            "Take a model whose architecture the runtime has; code of a repository is never run.",
        ),
        RefusalReason.NOT_AN_EMBEDDING_MODEL: Explanation(
            "The files say that the model makes no embeddings.",
            "Take an embedding model, or set spec.task where the files say too little.",
        ),
        RefusalReason.INCOMPLETE_WEIGHTS: Explanation(
            "Tensors that the architecture needs are missing in the weights.",
            "Publish the missing tensors, or take another revision.",
        ),
        RefusalReason.UNEXPECTED_WEIGHTS: Explanation(
            "The weights hold tensors that the architecture does not know.",
            "Take out the tensors that the message names, or correct config.json.",
        ),
        RefusalReason.CONTRADICTORY_EVIDENCE: Explanation(
            "Two files of the model say different things; an override can decide.",
            "Correct one of the files, or set the field that the message names.",
        ),
        RefusalReason.AMBIGUOUS_TASK: Explanation(
            "The files do not say what the model is for.",
            "Set spec.task.",
        ),
        RefusalReason.TASK_MISMATCH: Explanation(
            "The model is for another task than the one asked for.",
            "Set spec.task to what the model is for, or leave it at Auto.",
        ),
        RefusalReason.INVALID_OVERRIDE: Explanation(
            "A field of the spec does not fit the model; the message names the field.",
            "Correct the field that the message names, or take it out.",
        ),
        RefusalReason.INVALID_GOLDEN: Explanation(
            "A golden case cannot be used; the message names the case and what is wrong.",
            "Correct the golden case that the message names.",
        ),
        RefusalReason.INVALID_AUTH: Explanation(
            "The API keys or the JWKS that requests are checked with are malformed or empty; the message names the "
            "file and the line.",
            "Correct the Secret or ConfigMap that the message names; pods read it anew by themselves.",
        ),
        RefusalReason.REPOSITORY_NOT_FOUND: Explanation(
            "The hub knows no such repository, or hides it from anonymous requests.",
            "Correct spec.model.huggingFace.repo; for a private one, name a token in tokenSecretRef.",
        ),
        RefusalReason.REVISION_NOT_FOUND: Explanation(
            "The repository has no such branch, tag or commit.",
            "Correct spec.model.huggingFace.revision.",
        ),
        RefusalReason.ACCESS_DENIED: Explanation(
            "The repository is gated or private.",
            "Accept the model's terms on the hub, and name a token that may read it in tokenSecretRef.",
        ),
        RefusalReason.MIRROR_NOT_FOUND: Explanation(
            "The mirror is none of those in the operator's Helm values.",
            "Write one of the mirrors that the message names, or add it to the chart's values.",
        ),
        RefusalReason.IMAGE_NOT_FOUND: Explanation(
            "The registry has no image of that digest, or the image has no such folder.",
            "Correct spec.model.image: its digest, or the folder in it.",
        ),
        RefusalReason.REGISTRY_NOT_ALLOWED: Explanation(
            "The image's registry is none of those in the operator's Helm values.",
            "Take an image of one of the registries that the message names, or add it to the chart's values.",
        ),
        RefusalReason.CONVERSION_FAILED: Explanation(
            "A pickle could not be converted, or gave other bytes than before.",
            "Read the message; publish the weights as safetensors.",
        ),
        RefusalReason.DEVICE_UNAVAILABLE: Explanation(
            "The pod found no device of the kind that its profile promises.",
            "Ask for the device in spec.resources.limits, and check the node's driver; or take another profile.",
        ),
    }
)
"""What each reason means that `embedding_model` refuses with, and what to do."""
