"""How token vectors become one vector: the config.json of the Pooling module.

sentence-transformers writes `pooling_mode` (a name, or a list of them) since 5.4 and wrote one boolean per mode
before (sentence_transformers/sentence_transformer/modules/pooling.py). The newer key wins, as it does there; with no
mode at all the mean is taken, as there. The vectors of several modes are concatenated: in the order of the list, or
in the library's own order where each mode has its boolean.
"""

from dataclasses import dataclass

from embedding_model.inspection.card_prompts import RepositoryName
from embedding_model.inspection.documents import JsonObject
from embedding_model.inspection.quoting import quote
from embedding_model.refusal import Reason, Refusal
from embedding_model.resolved import Evidence, Pooling
from embedding_model.sources.source import Source

MODES = {
    "cls": Pooling.CLS,
    "max": Pooling.MAX,
    "mean": Pooling.MEAN,
    "mean_sqrt_len_tokens": Pooling.MEAN_SQRT_LENGTH,
    "weightedmean": Pooling.WEIGHTED_MEAN,
    "lasttoken": Pooling.LAST_TOKEN,
}
_FLAGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
POOLING_FILE = "1_Pooling/config.json"  # where sentence-transformers puts it
# Repositories older than include_prompt: sentence-transformers knows them by name (sentence_transformer/model.py).
_WITHOUT_PROMPT = frozenset({"hkunlp/instructor-base", "hkunlp/instructor-large", "hkunlp/instructor-xl"})
_MOST_MODES = len(MODES)  # side by side: each makes the vectors wider by the width of the encoder
_DIMENSION_KEYS = ("embedding_dimension", "word_embedding_dimension")  # newer first


@dataclass(frozen=True, kw_only=True)
class PoolingChoice:
    """`further`: what is concatenated behind the vector of `pooling`.

    `include_prompt`: whether the prompt's own tokens take part in the pooling.
    """

    pooling: Pooling
    further: tuple[Pooling, ...] = ()
    include_prompt: bool
    evidence: tuple[Evidence, ...]


def holds_pooling(source: Source) -> bool:
    """Whether the file is there under its usual name, with or without a modules.json that names it."""
    return any(file.path == POOLING_FILE for file in source.files())


def read_pooling(config: JsonObject, *, hidden_size: int, repository: RepositoryName | None = None) -> PoolingChoice:
    """The pooling modes of the module; `hidden_size` is the width of the encoder's vectors, `repository` the name that
    the model is known by.

    Raises Refusal: INVALID_FILE for unknown modes and more of them than there are, CONTRADICTORY_EVIDENCE when the
    module's width is not that of the encoder.
    """
    _check_flags(config)
    _check_width(config, hidden_size=hidden_size)
    flags = [key for key in _FLAGS if config.flag(key)]
    if config.values.get("pooling_mode") is not None:
        names = _read_names(config)
        key: str | None = "pooling_mode"
        overruled = tuple(f"{_FLAGS[flag]} ({config.path} {flag})" for flag in flags if _FLAGS[flag] not in names)
    else:
        names = [_FLAGS[flag] for flag in flags]
        key = next(iter(flags), None)
        overruled = ()
    poolings = [MODES[name] for name in names] or [Pooling.MEAN]
    note = None if names else "no mode is named; sentence-transformers then takes the mean"
    prompt = _read_include_prompt(config, repository=repository)
    return PoolingChoice(
        pooling=poolings[0],
        further=tuple(poolings[1:]),
        include_prompt=prompt.value == "true",
        evidence=(
            Evidence(
                field="pooling",
                value=", ".join(poolings),
                file=config.path,
                key=key,
                note="side by side: the vectors of all of them are concatenated" if len(poolings) > 1 else note,
                overruled=overruled,
            ),
            prompt,
        ),
    )


def _read_include_prompt(config: JsonObject, *, repository: RepositoryName | None) -> Evidence:
    field, key = "includePrompt", "include_prompt"
    written = config.flag(key)
    if written is not False and repository is not None and repository.repository.lower() in _WITHOUT_PROMPT:
        return Evidence(
            field=field,
            value="false",
            file=repository.file,
            key=repository.key,
            note=f"known by its name, as in sentence-transformers: {repository.repository} pools without the prompt",
            overruled=(f"true ({config.path} {key}{'' if written else ', not there'})",),
        )
    return Evidence(
        field=field,
        value="false" if written is False else "true",
        file=config.path,
        key=key,
        note="not there; the prompt takes part by default" if written is None else None,
    )


def _read_names(config: JsonObject) -> list[str]:
    written = config.values["pooling_mode"]
    names = [written] if isinstance(written, str) else written
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise Refusal(Reason.INVALID_FILE, f"{config.path}: expected pooling_mode to be a mode or a list of modes")
    if len(names) > _MOST_MODES:
        raise Refusal(
            Reason.INVALID_FILE, f"{config.path}: pooling_mode lists {len(names)} modes; there are {_MOST_MODES}"
        )
    unknown = [name for name in names if name not in MODES]
    if unknown:
        raise Refusal(
            Reason.INVALID_FILE,
            f"{config.path}: pooling_mode {quote(unknown[0])} is not known; expected one of {', '.join(MODES)}",
        )
    return names


def _check_flags(config: JsonObject) -> None:
    for key in config.values:
        if key.startswith("pooling_mode_") and key not in _FLAGS and config.values[key]:
            raise Refusal(Reason.INVALID_FILE, f"{config.path}: {quote(key)} is not a pooling mode that is known")


def _check_width(config: JsonObject, *, hidden_size: int) -> None:
    widths = {key: config.integer(key) for key in _DIMENSION_KEYS}
    if not any(widths.values()):
        # sentence-transformers refuses it as well; a config.json without it is some other file than Pooling's.
        raise Refusal(Reason.INVALID_FILE, f"{config.path}: expected {' or '.join(_DIMENSION_KEYS)}, found neither")
    for key, width in widths.items():
        if width is not None and width != hidden_size:
            raise Refusal(
                Reason.CONTRADICTORY_EVIDENCE,
                f"{config.path} says {key} {width}, but the encoder's vectors have {hidden_size}: the file belongs to "
                "another model",
            )
