"""Everything that is read from a folder before anything is concluded from it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from embedding_model.inspection.architecture import identify
from embedding_model.inspection.card import Card, read_card
from embedding_model.inspection.documents import JsonObject, join, read_object, read_optional_object
from embedding_model.inspection.formats import check_formats
from embedding_model.inspection.gguf_model import GgufModel, read_gguf_model
from embedding_model.inspection.identified import Identified
from embedding_model.inspection.modules import read_modules
from embedding_model.inspection.pipeline import Pipeline, check_modules, read_pipeline
from embedding_model.inspection.quoting import quote
from embedding_model.inspection.sentence_config import SentenceConfig, read_sentence_config
from embedding_model.inspection.tensors import Tensor, read_tensors
from embedding_model.inspection.tokenizer import Tokenizer, read_tokenizer
from embedding_model.refusal import Reason, Refusal
from embedding_model.resolved import Weights
from embedding_model.sources.gguf import find_gguf
from embedding_model.sources.selection import CONFIG_FILE, MODULES_FILE, select
from embedding_model.sources.source import Source
from embedding_model.sources.weight_files import TOKEN_HEAD_FILES
from embedding_model.tokenizer_files import TOKENIZER_CONFIG_FILE

LIBRARY_CONFIG_FILE = "config_sentence_transformers.json"
_LIBRARY_MODELS = frozenset({"SentenceTransformer", "CrossEncoder", "SparseEncoder"})


@dataclass(frozen=True, kw_only=True)
class Reading:
    """`library` is config_sentence_transformers.json, `folder` where config, weights and tokenizer are ("" the root).

    `pipeline` is None without modules.json. `gguf` is what a GGUF file says, where one is the model.
    """

    source: Source
    selected: Sequence[str]
    library: JsonObject
    card: Card
    pipeline: Pipeline | None
    folder: str
    sentence: SentenceConfig
    config: JsonObject
    tensors: Mapping[str, Tensor]
    identified: Identified
    tokenizer_config: JsonObject
    tokenizer: Tokenizer
    weights: Weights
    gguf: GgufModel | None = None

    @property
    def library_model(self) -> str | None:
        """The class of sentence-transformers that saved the folder, where that is written down."""
        return self.library.text("model_type")


def read_model(source: Source) -> Reading:
    """Read small files and the headers of the weights. Raises whatever Refusal one of them deserves by itself."""
    modules = None
    if any(file.path == MODULES_FILE for file in source.files()):
        modules = read_modules(source)
        check_modules(modules)
    check_formats(source)
    own = find_gguf([file.path for file in source.files()])
    if own is not None:
        return _read_gguf(source, path=own)
    selected = select(source)
    library = read_optional_object(source, path=LIBRARY_CONFIG_FILE)
    _check_library(library)
    pipeline = None
    if modules is not None:
        pipeline = read_pipeline(source, modules=modules, library_model=library.text("model_type"))
    folder = pipeline.transformer if pipeline else ""
    config = read_object(source, path=join(folder, CONFIG_FILE))
    files = weight_files(selected, folder=folder)
    tensors = read_tensors(source, files=files)
    identified = identify(config, tensors)
    tokenizer_config = read_optional_object(source, path=join(folder, TOKENIZER_CONFIG_FILE))
    return Reading(
        source=source,
        selected=selected,
        library=library,
        card=read_card(source),
        pipeline=pipeline,
        folder=folder,
        sentence=pipeline.sentence if pipeline else read_sentence_config(source, folder=folder),
        config=config,
        tensors=tensors,
        identified=identified,
        tokenizer_config=tokenizer_config,
        tokenizer=read_tokenizer(
            source, folder=folder, family=identified.family, config=config, tokenizer_config=tokenizer_config
        ),
        weights=_count(source, files=files, tensors=tensors),
    )


def _read_gguf(source: Source, *, path: str) -> Reading:
    """The one file is the model: no other but the card counts."""
    model = read_gguf_model(source, path=path)
    return Reading(
        source=source,
        selected=(path,),
        library=JsonObject(LIBRARY_CONFIG_FILE, exists=False),
        card=read_card(source),
        pipeline=None,
        folder="",
        sentence=model.sentence,
        config=model.config,
        tensors=model.tensors,
        identified=identify(model.config, model.tensors),
        tokenizer_config=JsonObject(path, exists=False),
        tokenizer=model.tokenizer,
        weights=model.weights,
        gguf=model,
    )


def weight_files(selected: Sequence[str], *, folder: str) -> tuple[str, ...]:
    """The safetensors files directly in a folder, without those of further heads."""
    prefix = f"{folder}/" if folder else ""
    return tuple(
        path
        for path in selected
        if path.endswith(".safetensors")
        and path.startswith(prefix)
        and "/" not in path[len(prefix) :]
        and path[len(prefix) :] not in TOKEN_HEAD_FILES
    )


def _count(source: Source, *, files: Sequence[str], tensors: Mapping[str, Tensor]) -> Weights:
    sizes = {file.path: file.size for file in source.files()}
    return Weights(
        bytes=sum(sizes[path] for path in files),
        files=len(files),
        parameters=sum(tensor.parameters for tensor in tensors.values() if tensor.is_floating),
    )


def _check_library(library: JsonObject) -> None:
    kind = library.text("model_type")
    if kind == "MultiVectorEncoder":
        raise Refusal(
            Reason.NOT_AN_EMBEDDING_MODEL,
            f"{library.path}: model_type is {kind}, a multi-vector model (ColBERT), which is not served; choose a "
            "dense, sparse (SPLADE) or reranking model",
        )
    if kind is not None and kind not in _LIBRARY_MODELS:
        raise Refusal(
            Reason.UNSUPPORTED_ARCHITECTURE,
            f"{library.path}: model_type is {quote(kind)}; expected one of {', '.join(sorted(_LIBRARY_MODELS))}",
        )
