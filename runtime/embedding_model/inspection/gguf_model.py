"""A model that is one GGUF file: what its header says in the words in which every other folder is read.

Nothing else in the folder counts but the model card. Whether vectors are normalised no GGUF says; llama.cpp, which
reads such files, normalises them (--embd-normalize is 2), and so does what is served from one.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from embedding_model.inspection.documents import JsonObject
from embedding_model.inspection.gguf_config import (
    ARCHITECTURE_KEY,
    CONFIG_KEYS,
    NO_POOLING,
    POOLING_KEY,
    SERVED_ARCHITECTURES,
    architecture_of,
    describe_tensors,
    read_gguf_config,
)
from embedding_model.inspection.gguf_tokenizer import ADD_EOS_KEY, MODEL_KEY, PRE_KEY, count_tokens, read_frame
from embedding_model.inspection.quoting import quote
from embedding_model.inspection.sentence_config import SentenceConfig
from embedding_model.inspection.tensors import Tensor
from embedding_model.inspection.tokenizer import Tokenizer
from embedding_model.refusal import Reason, Refusal
from embedding_model.resolved import Evidence, Inspection, Pooling, Weights
from embedding_model.sources.gguf import GgufHeader, read_gguf_header
from embedding_model.sources.source import Source

FORMAT = "gguf"
_POOLINGS = {1: Pooling.MEAN, 2: Pooling.CLS, 3: Pooling.LAST_TOKEN}  # llama.h, llama_pooling_type


@dataclass(frozen=True, kw_only=True)
class GgufModel:
    """`pooling` is None where the file names none."""

    path: str
    architecture: str
    config: JsonObject
    tensors: Mapping[str, Tensor]
    tokenizer: Tokenizer
    weights: Weights
    pooling: Pooling | None
    types: str

    @property
    def pooling_key(self) -> str:
        return f"{self.architecture}.{POOLING_KEY}"

    @property
    def sentence(self) -> SentenceConfig:
        note = "no file says that texts are lowercased; the tokenizer's own normaliser still applies"
        evidence = Evidence(field="lowercase", value="false", file=self.path, note=note)
        return SentenceConfig(
            document=JsonObject(self.path, exists=False), lowercase=False, transformer_task=None, evidence=evidence
        )


def read_gguf_model(source: Source, *, path: str) -> GgufModel:
    """Reads the header. Raises Refusal: UNSUPPORTED_FORMAT for architectures and tokenizers that are not served from
    GGUF, and what the readers of header, configuration and tokenizer raise.
    """
    header = read_gguf_header(source, path=path)
    architecture = architecture_of(header)
    if architecture is None:
        raise _not_served(header, source=source)
    config = JsonObject(path, read_gguf_config(header))
    tensors = describe_tensors(header)
    rows = config.required_integer("vocab_size")
    if count_tokens(header) != rows:
        raise Refusal(
            Reason.CONTRADICTORY_EVIDENCE,
            f"{path}: the tokenizer has {count_tokens(header)} tokens, the word embeddings have {rows} rows",
        )
    size = next(file.size for file in source.files() if file.path == path)
    parameters = sum(tensor.parameters for tensor in tensors.values())
    return GgufModel(
        path=path,
        architecture=architecture,
        config=config,
        tensors=tensors,
        tokenizer=_read_tokenizer(header),
        weights=Weights(format=FORMAT, bytes=size, files=1, parameters=parameters),
        pooling=_read_pooling(header, key=f"{architecture}.{POOLING_KEY}"),
        types=describe_types(header),
    )


def describe_types(header: GgufHeader) -> str:
    """How many tensors are of which of ggml's types, the most frequent first."""
    counts = Counter(tensor.type for tensor in header.tensors)
    return ", ".join(f"{count} {name}" for name, count in counts.most_common())


def name_keys(inspection: Inspection, *, model: GgufModel) -> Inspection:
    """The same with evidence under the keys of the file itself, and what it holds."""
    names = {
        "model_type": ARCHITECTURE_KEY,
        "post_processor": ADD_EOS_KEY,
        **{name: f"{model.architecture}.{key}" for key, name in CONFIG_KEYS.items()},
        "model.embed_tokens.weight": "token_embd.weight",
    }
    evidence = [
        item.model_copy(update={"key": names.get(item.key, item.key)}) if item.file == model.path and item.key else item
        for item in inspection.evidence
    ]
    held = Evidence(field="weights", value=FORMAT, file=model.path, note=f"tensors: {model.types}")
    return inspection.model_copy(update={"evidence": (*evidence, held)})


def _read_tokenizer(header: GgufHeader) -> Tokenizer:
    frame = read_frame(header)
    value = f"{header.values[MODEL_KEY]}, {header.values[PRE_KEY]}"
    evidence = Evidence(field="tokenizer", value=value, file=header.path, key=PRE_KEY, note="built from the GGUF file")
    return Tokenizer(header.path, tuple(token for token, _ in frame.last), evidence)


def _read_pooling(header: GgufHeader, *, key: str) -> Pooling | None:
    value = header.values.get(key, NO_POOLING)
    if type(value) is int and value == NO_POOLING:
        return None
    if type(value) is not int or value not in _POOLINGS:
        known = ", ".join(f"{number} ({pooling})" for number, pooling in _POOLINGS.items())
        raise Refusal(
            Reason.UNSUPPORTED_FORMAT,
            f"{header.path}: {key} is a pooling that is not served from a GGUF file (4 is a reranker's); known are "
            f"{known}: use the safetensors weights that it was made from",
        )
    return _POOLINGS[value]


def _not_served(header: GgufHeader, *, source: Source) -> Refusal:
    found = header.values.get(ARCHITECTURE_KEY)
    named = f"has the architecture {quote(found)}" if isinstance(found, str) else f"names no {ARCHITECTURE_KEY}"
    return Refusal(
        Reason.UNSUPPORTED_FORMAT,
        f"{header.path} is recognised as GGUF (version {header.version}, {len(header.tensors)} tensors, sha256 "
        f"{source.hash(header.path).sha256}), but {named}; served from GGUF are {', '.join(SERVED_ARCHITECTURES)}. Use "
        "the repository that it was made from, with safetensors weights",
    )
