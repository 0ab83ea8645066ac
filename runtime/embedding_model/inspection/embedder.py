"""Inspect a folder: what its own files say the model is, and which file said so.

Served are dense text embedders that sentence-transformers describes (modules.json) over the encoders of `families`.
Everything else is refused with a reason, because a guess would give vectors that look right and are wrong.
"""

from collections.abc import Mapping, Sequence

from embedding_model.inspection.architecture import (
    Encoder,
    describe_architecture,
    hash_configuration,
    identify_family,
    verify_tensors,
)
from embedding_model.inspection.bare import refuse_without_modules
from embedding_model.inspection.card import CARD_FILE, Card, read_card
from embedding_model.inspection.documents import JsonObject, join, read_object, read_optional_object
from embedding_model.inspection.lengths import read_max_input_tokens, read_truncation_side
from embedding_model.inspection.pipeline import Pipeline, read_pipeline
from embedding_model.inspection.pooling import read_pooling
from embedding_model.inspection.prompts import read_prompts
from embedding_model.inspection.sentence_config import check_library_config, read_sentence_config
from embedding_model.inspection.tensors import Tensor, read_tensors
from embedding_model.inspection.tokenizer import check_tokenizer
from embedding_model.refusal import Reason, Refusal
from embedding_model.resolved import Declared, Evidence, Inspection, Task, Weights
from embedding_model.sources.selection import CONFIG_FILE, MODULES_FILE, select
from embedding_model.sources.source import Source
from embedding_model.tokenizer_files import TOKENIZER_CONFIG_FILE

LIBRARY_CONFIG_FILE = "config_sentence_transformers.json"


def inspect(source: Source, *, declared: Declared | None = None) -> Inspection:
    """What the model is. Reads small files and the headers of safetensors files, never the weights.

    `declared` settles what the files leave open. Raises Refusal for whatever cannot be served or decided, TASK_MISMATCH
    where the files contradict what is declared, and what the source raises (Unavailable).
    """
    declared = declared or Declared()
    if declared.task not in (None, Task.EMBEDDING):
        raise Refusal(
            Reason.TASK_MISMATCH,
            f"the task {declared.task} is declared, but only embedding models are understood so far",
            field="task",
        )
    selected = select(source)
    if MODULES_FILE not in selected:
        refuse_without_modules(source, selected=selected)
    pipeline = read_pipeline(source)
    config = read_object(source, path=join(pipeline.transformer, CONFIG_FILE))
    family = identify_family(config)
    weight_files = _weight_files(selected, folder=pipeline.transformer)
    tensors = read_tensors(source, files=weight_files)
    encoder = verify_tensors(tensors, config=config, family=family)
    return _assemble(source, pipeline=pipeline, config=config, encoder=encoder, tensors=tensors, files=weight_files)


def _assemble(
    source: Source,
    *,
    pipeline: Pipeline,
    config: JsonObject,
    encoder: Encoder,
    tensors: Mapping[str, Tensor],
    files: Sequence[str],
) -> Inspection:
    library_config = read_optional_object(source, path=LIBRARY_CONFIG_FILE)
    check_library_config(library_config)
    sentence = read_sentence_config(source, folder=pipeline.transformer)
    tokenizer_config = read_optional_object(source, path=join(pipeline.transformer, TOKENIZER_CONFIG_FILE))
    check_tokenizer(
        source,
        folder=pipeline.transformer,
        family=encoder.family.model_type,
        config=config,
        tokenizer_config=tokenizer_config,
    )
    card = read_card(source)

    pooling = read_pooling(
        read_object(source, path=join(pipeline.pooling, CONFIG_FILE)), hidden_size=encoder.hidden_size
    )
    max_input_tokens, length_evidence = read_max_input_tokens(
        sentence_config=sentence.document, tokenizer_config=tokenizer_config, encoder=encoder
    )
    truncation_side, truncation_evidence = read_truncation_side(tokenizer_config)
    prompts = read_prompts(library_config)
    matryoshka, matryoshka_evidence = _read_matryoshka(config, card=card, dimensions=encoder.hidden_size)
    sizes = {file.path: file.size for file in source.files()}
    return Inspection(
        task=Task.EMBEDDING,
        architecture=encoder.family.architecture,
        family=encoder.family.model_type,
        folder=pipeline.transformer or None,
        pooling=pooling.pooling,
        include_prompt=pooling.include_prompt,
        normalize=pipeline.normalize,
        dimensions=encoder.hidden_size,
        matryoshka_dimensions=matryoshka,
        max_input_tokens=max_input_tokens,
        positions=encoder.positions,
        truncation_side=truncation_side,
        lowercase=sentence.lowercase,
        prompts=prompts.prompts,
        default_prompt=prompts.default_prompt,
        configuration=hash_configuration(config),
        weights=Weights(
            bytes=sum(sizes[path] for path in files),
            files=len(files),
            parameters=sum(tensor.parameters for tensor in tensors.values() if tensor.is_floating),
        ),
        evidence=(
            _describe_task(pipeline, card=card),
            describe_architecture(config, encoder=encoder),
            *pooling.evidence,
            _describe_normalize(pipeline),
            _describe_dimensions(encoder),
            matryoshka_evidence,
            length_evidence,
            truncation_evidence,
            sentence.evidence,
            *prompts.evidence,
        ),
    )


def _weight_files(selected: Sequence[str], *, folder: str) -> tuple[str, ...]:
    prefix = f"{folder}/" if folder else ""
    return tuple(
        path
        for path in selected
        if path.endswith(".safetensors") and path.startswith(prefix) and "/" not in path[len(prefix) :]
    )


def _describe_task(pipeline: Pipeline, *, card: Card) -> Evidence:
    tags = {"feature-extraction", "sentence-similarity", None}
    return Evidence(
        field="task",
        value=Task.EMBEDDING,
        file=MODULES_FILE,
        note=pipeline.describe(),
        overruled=() if card.pipeline_tag in tags else (f"{card.pipeline_tag} ({CARD_FILE} pipeline_tag, weak)",),
    )


def _describe_normalize(pipeline: Pipeline) -> Evidence:
    return Evidence(
        field="normalize",
        value="true" if pipeline.normalize else "false",
        file=MODULES_FILE,
        note="the modules end in Normalize" if pipeline.normalize else "there is no Normalize module",
    )


def _describe_dimensions(encoder: Encoder) -> Evidence:
    return Evidence(
        field="dimensions",
        value=str(encoder.hidden_size),
        file=encoder.word_tensor.file,
        key=encoder.word_tensor.name,
        note=f"shape {list(encoder.word_tensor.shape)}",
    )


def _read_matryoshka(config: JsonObject, *, card: Card, dimensions: int) -> tuple[tuple[int, ...], Evidence]:
    """Sizes that the model was trained to be cut to: config.json's (vLLM reads it too), else the card's."""
    declared = config.values.get("matryoshka_dimensions")
    if declared is not None:
        if not isinstance(declared, list) or not all(type(size) is int and 0 < size <= dimensions for size in declared):
            raise Refusal(
                Reason.INVALID_FILE,
                f"{config.path}: expected matryoshka_dimensions to be a list of whole numbers from 1 to {dimensions}",
            )
        sizes, file, key, note = tuple(sorted(set(declared))), config.path, "matryoshka_dimensions", None
    elif card.matryoshka_dimensions and card.matryoshka_dimensions[-1] <= dimensions:
        sizes, file, key = card.matryoshka_dimensions, CARD_FILE, "matryoshka_dims"
        note = "weak evidence: the training loss that the model card shows"
    else:
        sizes, file, key, note = (), config.path, "matryoshka_dimensions", "none declared"
    value = ", ".join(str(size) for size in sizes) or "none"
    return sizes, Evidence(field="matryoshkaDimensions", value=value, file=file, key=key, note=note)
