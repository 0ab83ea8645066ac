"""A dense embedder: pooling, the modules behind it, normalisation, dimensions, prompts, the end token."""

from embedding_model.inspection.assembly import TaskValues
from embedding_model.inspection.card_prompts import name_repository
from embedding_model.inspection.documents import JsonObject, join, read_object
from embedding_model.inspection.head_modules import read_head_modules
from embedding_model.inspection.identified import Identified
from embedding_model.inspection.matryoshka import read_matryoshka
from embedding_model.inspection.pooling import POOLING_FILE, PoolingChoice, holds_pooling, read_pooling
from embedding_model.inspection.prompts import read_prompts
from embedding_model.inspection.reading import Reading
from embedding_model.inspection.token_heads import read_token_heads
from embedding_model.inspection.tokenizer import read_end_token
from embedding_model.refusal import Reason, Refusal
from embedding_model.resolved import Declared, Evidence, HeadModule, Pooling
from embedding_model.sources.selection import CONFIG_FILE, MODULES_FILE


def read_embedder(reading: Reading, *, declared: Declared) -> TaskValues:
    """The values of an embedder. Raises Refusal, as the readers of the single files do."""
    found = reading.identified
    pipeline = reading.pipeline
    pooling = _read_pooling(reading, declared=declared)
    width = found.hidden_size * (1 + len(pooling.further))
    modules, module_evidence = read_head_modules(
        reading.source,
        modules=pipeline.heads if pipeline else (),
        selected=reading.selected,
        dimensions=width,
    )
    dimensions = modules[-1].output_dimensions if modules else width
    _check_cut(reading.library, dimensions=dimensions)
    prompts = read_prompts(reading.library, origin=reading.source.origin, config=reading.config)
    matryoshka = read_matryoshka(reading.config, card=reading.card, origin=reading.source.origin, dimensions=dimensions)
    end_token, end_evidence = _read_end(reading, poolings=(pooling.pooling, *pooling.further))
    token_heads, token_head_evidence = read_token_heads(reading)
    return TaskValues(
        pooling=pooling.pooling,
        further_poolings=pooling.further,
        include_prompt=pooling.include_prompt,
        normalize=reading.gguf is not None or (pipeline is not None and pipeline.normalize),
        modules=modules,
        dimensions=dimensions,
        matryoshka_dimensions=matryoshka.sizes,
        layer_norm_before_cut=matryoshka.layer_norm_before_cut,
        token_heads=token_heads,
        end_token=end_token,
        prompts=prompts.prompts,
        default_prompt=prompts.default_prompt,
        evidence=(
            *pooling.evidence,
            *module_evidence,
            _describe_normalize(reading),
            _describe_dimensions(found, poolings=1 + len(pooling.further), modules=modules),
            *matryoshka.evidence,
            *prompts.evidence,
            *token_head_evidence,
            *end_evidence,
        ),
    )


def _read_pooling(reading: Reading, *, declared: Declared) -> PoolingChoice:
    pipeline = reading.pipeline
    if pipeline is not None and pipeline.pooling is not None:
        config = read_object(reading.source, path=join(pipeline.pooling, CONFIG_FILE))
        named = name_repository(reading.source.origin, config=reading.config)
        return read_pooling(config, hidden_size=reading.identified.hidden_size, repository=named)
    if reading.gguf is not None and reading.gguf.pooling is not None:
        pooling, key = reading.gguf.pooling, reading.gguf.pooling_key
        evidence = Evidence(field="pooling", value=pooling, file=reading.gguf.path, key=key)
        return PoolingChoice(pooling=pooling, include_prompt=True, evidence=(evidence,))
    if declared.pooling is None:
        raise ValueError("an embedder without modules.json has a declared pooling")
    return PoolingChoice(
        pooling=declared.pooling,
        include_prompt=True,
        evidence=(
            Evidence(
                field="pooling",
                value=declared.pooling,
                file="spec",
                key="embedding.pooling",
                note="declared",
                overruled=_read_left_behind(reading, declared=declared.pooling),
            ),
        ),
    )


def _read_left_behind(reading: Reading, *, declared: Pooling) -> tuple[str, ...]:
    """What a Pooling module's config.json says that modules.json is not there to name."""
    if not holds_pooling(reading.source):
        return ()
    try:
        left = read_pooling(read_object(reading.source, path=POOLING_FILE), hidden_size=reading.identified.hidden_size)
    except Refusal:
        return ()  # it belongs to another model
    poolings = (left.pooling, *left.further)
    if poolings == (declared,):
        return ()
    return (f"{', '.join(poolings)} ({POOLING_FILE}, which no {MODULES_FILE} names)",)


def _read_end(reading: Reading, *, poolings: tuple[Pooling, ...]) -> tuple[str | None, tuple[Evidence, ...]]:
    """Only a language model's last token carries the text; other poolings do not read one token at the end."""
    if Pooling.LAST_TOKEN not in poolings or not reading.identified.is_decoder:
        return None, ()
    token, evidence = read_end_token(reading.tokenizer, config=reading.tokenizer_config)
    return token, (evidence,)


def _check_cut(library: JsonObject, *, dimensions: int) -> None:
    cut = library.integer("truncate_dim")
    if cut is not None and cut != dimensions:
        raise Refusal(
            Reason.UNSUPPORTED_ARCHITECTURE,
            f"{library.path}: truncate_dim {cut} would cut the {dimensions} dimensions after normalisation, without "
            "normalising again, which is not served: remove it from the file, and set embedding.dimensions",
            field="embedding.dimensions",
        )


def _describe_normalize(reading: Reading) -> Evidence:
    pipeline = reading.pipeline
    if reading.gguf is not None:
        note = "a GGUF file does not say; llama.cpp, which reads such files, normalises (--embd-normalize 2)"
        return Evidence(field="normalize", value="true", file=reading.gguf.path, note=note)
    if pipeline is None:
        note = "it is not there; without it sentence-transformers does not normalise"
    else:
        note = "the modules end in Normalize" if pipeline.normalize else "there is no Normalize module"
    value = "true" if pipeline is not None and pipeline.normalize else "false"
    return Evidence(field="normalize", value=value, file=MODULES_FILE, note=note)


def _describe_dimensions(found: Identified, *, poolings: int, modules: tuple[HeadModule, ...]) -> Evidence:
    word, width = found.word_tensor, found.hidden_size * poolings
    if not modules:
        note = f"shape {list(word.shape)}"
        if word.shape[-1] != found.hidden_size:  # factorised embeddings (ALBERT) are narrower than the layers
            note += f", widened to {found.hidden_size}"
        if poolings > 1:
            note += f", {poolings} poolings side by side"
        return Evidence(field="dimensions", value=str(width), file=word.file, key=word.name, note=note)
    last = modules[-1]
    return Evidence(
        field="dimensions",
        value=str(last.output_dimensions),
        file=join(last.folder, CONFIG_FILE),
        note=f"the last module, {last.kind}",
        overruled=(f"{width} ({word.file} {word.name})",) if last.output_dimensions != width else (),
    )
