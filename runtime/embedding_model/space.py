"""The fingerprint of a vector space: two models with the same fingerprint may answer behind one Service.

The fingerprint covers everything that moves a vector: the bytes of weights and tokenizer, the architecture and its
configuration, pooling, the modules behind it, normalisation, dimensions, prompts, maximum length, end token, truncation
and lowercasing; of rerankers and classifiers scoring, the words of the template, instruction, activation and labels; of
sparse models their head, of embedders their further heads; what the weights are quantised to. It leaves out where the
files came from (repository, revision, volume), model cards, replicas, resources and dtype.

The recipe is versioned by the prefix `sp1-`. A change of recipe is a change of every user's space: it needs a new
prefix, never a silent edit.
"""

import hashlib
from pathlib import PurePosixPath
from typing import Any

import orjson

from embedding_model.rerank_templates import RERANK_TEMPLATES
from embedding_model.resolved import HeadModule, Inspection, Manifest, Quantization, Scoring, Serving

PREFIX = "sp1-"
_WEIGHTS = (".safetensors", ".gguf")
_HEX_DIGITS = 32  # 128 bits: no accidental collision, and with the prefix it fits a label's 63 characters

# Every file that a tokenizer of the Hugging Face libraries is loaded from.
TOKENIZER_FILES = frozenset(
    {
        "added_tokens.json",
        "bpe.codes",
        "merges.txt",
        "sentencepiece.bpe.model",
        "special_tokens_map.json",
        "spiece.model",
        "spm.model",
        "tokenizer.json",
        "tokenizer.model",
        "tokenizer_config.json",
        "vocab.json",
        "vocab.txt",
    }
)


def fingerprint(*, manifest: Manifest, inspection: Inspection, serving: Serving) -> str:
    """Name the vector space: `sp1-` and the first 32 hex digits of the sha256 over a canonical JSON document.

    The order of files and prompts does not matter. Raises ValueError when the manifest holds no weights, because a
    fingerprint without weights would equal that of any other such model.
    """
    weights = [file for file in manifest.files if file.path.endswith(_WEIGHTS)]
    if not weights:
        raise ValueError("the manifest lists no *.safetensors or *.gguf file: there is nothing to fingerprint")
    covered = {
        "files": sorted(
            [file.path, file.sha256]
            for file in manifest.files
            if file.path.endswith(_WEIGHTS) or PurePosixPath(file.path).name in TOKENIZER_FILES
        ),
        "task": serving.task,
        "architecture": inspection.architecture,
        "configuration": inspection.configuration,
        "pooling": serving.pooling,
        "includePrompt": serving.include_prompt,
        "normalize": serving.normalize,
        "dimensions": serving.dimensions,
        "prompts": sorted([prompt.name, prompt.text] for prompt in serving.prompts),
        "defaultPrompt": serving.default_prompt,
        "maxInputTokens": serving.max_input_tokens,
        "truncationSide": serving.truncation_side,
        "lowercase": serving.lowercase,
        **_cover_heads(inspection, serving=serving),
    }
    canonical = orjson.dumps(covered, option=orjson.OPT_SORT_KEYS)
    return PREFIX + hashlib.sha256(canonical).hexdigest()[:_HEX_DIGITS]


def _cover_heads(inspection: Inspection, *, serving: Serving) -> dict[str, Any]:
    """What plain embedders do not have, each only where it is set: their fingerprints do not know of it."""
    heads = {
        "furtherPoolings": list(serving.further_poolings),
        "modules": [_cover_module(head) for head in inspection.modules],
        "endToken": inspection.end_token,
        "labels": list(inspection.labels),
        "activation": serving.activation,
        "instruction": serving.instruction,
        "scoring": None if inspection.scoring is None else inspection.scoring.to_dict(),
        "template": _cover_template(inspection.scoring),
        "sparse": None if inspection.sparse is None else inspection.sparse.to_dict(),
        "tokenHeads": [head.to_dict() for head in inspection.token_heads],
        "layerNormBeforeCut": serving.layer_norm_before_cut,
        "quantization": None if serving.quantization is Quantization.NONE else serving.quantization,
    }
    return {key: value for key, value in heads.items() if value}


def _cover_module(head: HeadModule) -> list[Any]:
    residual = ["residual"] if head.residual else []
    return [str(head.kind), head.folder, head.activation, head.bias, *residual]


def _cover_template(scoring: Scoring | None) -> str | None:
    """The template's words and not only its name: a version that writes them otherwise scores otherwise."""
    if scoring is None or scoring.template is None:
        return None
    template = RERANK_TEMPLATES.get(scoring.template)
    return None if template is None else template.digest()
