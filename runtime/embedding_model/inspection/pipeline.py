"""What the modules of a folder make together: an embedder, a cross-encoder, a language model that scores, SPLADE.

Every module changes the numbers; one that is not known, or stands in an order that is not known, is a refusal, never a
warning.
"""

from dataclasses import dataclass
from enum import StrEnum

from embedding_model.inspection.modules import ROUTER, Module, names_of, read_routes
from embedding_model.inspection.quoting import quote
from embedding_model.inspection.sentence_config import SentenceConfig, read_sentence_config
from embedding_model.refusal import Reason, Refusal
from embedding_model.sources.selection import MODULES_FILE
from embedding_model.sources.source import Source

_WITHOUT_EFFECT = frozenset({"Dropout"})  # active in training only
_HEADS = frozenset({"Dense", "LayerNorm"})
_SCORING = "CrossEncoder"

# Modules of models that nothing here turns into one vector or one score of a text, with what they are.
_OTHER = {
    "SparseAutoEncoder": "a sparse model of another kind (CSR)",
    "CSRSparsity": "a sparse model of another kind (CSR)",
    "MultiVectorMask": "a multi-vector model (ColBERT)",
    "TokenPooling": "a multi-vector model (ColBERT)",
    "CLIPModel": "an image and text model",
}
_TABLES = frozenset({"StaticEmbedding", "WordEmbeddings", "BoW"})


class Kind(StrEnum):
    EMBEDDER = "an embedder"
    CROSS_ENCODER = "a cross-encoder with a classification head"
    LOGIT_SCORE = "a language model that scores by its token logits"
    SPLADE = "a sparse model (SPLADE)"


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """`pooling` is the folder of the Pooling, SpladePooling or LogitScore module, None for a cross-encoder.

    `heads` are the Dense and LayerNorm modules between pooling and normalisation. `query` is the folder of the table
    that replaces the model for queries, of inference-free sparse models.
    """

    kind: Kind
    transformer: str
    sentence: SentenceConfig
    file: str
    modules: tuple[Module, ...]
    pooling: str | None = None
    heads: tuple[Module, ...] = ()
    normalize: bool = False
    query: str | None = None

    def describe(self) -> str:
        return names_of(self.modules)


def check_modules(modules: tuple[Module, ...]) -> None:
    """Raises Refusal(NOT_AN_EMBEDDING_MODEL, UNSUPPORTED_ARCHITECTURE) for modules of models of another kind.

    Asked before anything else is looked for: such models have other files, too.
    """
    for module in modules:
        if module.name in _OTHER:
            raise Refusal(
                Reason.NOT_AN_EMBEDDING_MODEL,
                f"{MODULES_FILE} lists {module.name}: this is {_OTHER[module.name]}, which is not served; choose a "
                "dense, sparse (SPLADE) or reranking model over a transformer",
            )
        if module.name in _TABLES:
            raise Refusal(
                Reason.UNSUPPORTED_ARCHITECTURE,
                f"{MODULES_FILE} lists {module.name}: this is an embedder without a transformer, which is not served; "
                "choose one with a transformer",
            )


def read_pipeline(source: Source, *, modules: tuple[Module, ...], library_model: str | None) -> Pipeline:
    """The pipeline that the modules make; `library_model` is config_sentence_transformers.json's model_type.

    Raises Refusal: INVALID_FILE, REMOTE_CODE_REQUIRED for classes of others, UNSUPPORTED_ARCHITECTURE for other modules
    and orders, CONTRADICTORY_EVIDENCE where the transformer's own task is another one.
    """
    steps = [module for module in modules if module.name not in _WITHOUT_EFFECT]
    if [module.name for module in steps] == [ROUTER]:
        return _read_router(source, router=steps[0])
    return _read_steps(source, steps=steps, modules=modules, library_model=library_model)


def _read_steps(
    source: Source, *, steps: list[Module], modules: tuple[Module, ...], library_model: str | None
) -> Pipeline:
    if not steps or steps[0].name not in ("Transformer", "MLMTransformer"):
        raise _unknown_order(modules)
    folder = steps[0].folder
    sentence = read_sentence_config(source, folder=folder)
    kind = _judge_kind(steps, library_model=library_model, sentence=sentence)
    if kind is None:
        raise _unknown_order(modules)
    _check_task(kind, module=steps[0], sentence=sentence)
    return Pipeline(
        kind=kind,
        transformer=folder,
        sentence=sentence,
        file=MODULES_FILE,
        modules=modules,
        pooling=steps[1].folder if len(steps) > 1 else None,
        heads=tuple(module for module in steps if module.name in _HEADS),
        normalize=steps[-1].name == "Normalize",
    )


def _judge_kind(steps: list[Module], *, library_model: str | None, sentence: SentenceConfig) -> Kind | None:
    names = [module.name for module in steps]
    match names:
        case ["Transformer"]:
            scores = sentence.transformer_task == "sequence-classification" or (
                library_model == _SCORING and sentence.transformer_task is None
            )
            return Kind.CROSS_ENCODER if scores else None
        case ["Transformer", "LogitScore"]:
            return Kind.LOGIT_SCORE
        case ["Transformer" | "MLMTransformer", "SpladePooling"]:
            return Kind.SPLADE
        case ["Transformer", "Pooling", *rest]:
            while rest and rest[-1] == "Normalize":
                rest.pop()
            return Kind.EMBEDDER if all(name in _HEADS for name in rest) else None
    return None


_TASKS = {
    Kind.EMBEDDER: "feature-extraction",
    Kind.CROSS_ENCODER: "sequence-classification",
    Kind.LOGIT_SCORE: "text-generation",
    Kind.SPLADE: "fill-mask",
}


def _check_task(kind: Kind, *, module: Module, sentence: SentenceConfig) -> None:
    default = "fill-mask" if module.name == "MLMTransformer" else "feature-extraction"
    if kind is Kind.CROSS_ENCODER:
        default = _TASKS[kind]
    task = sentence.transformer_task or default
    if task != _TASKS[kind]:
        raise Refusal(
            Reason.CONTRADICTORY_EVIDENCE,
            f"{MODULES_FILE} describes {kind}, which reads a transformer for {_TASKS[kind]}, but "
            f"{sentence.document.path} says transformer_task {quote(task)}: the two files belong to different models",
        )


def _read_router(source: Source, *, router: Module) -> Pipeline:
    routes = read_routes(source, folder=router.folder)
    document = [module for module in routes.document if module.name not in _WITHOUT_EFFECT]
    names = [module.name for module in document]
    if names not in (["MLMTransformer", "SpladePooling"], ["Transformer", "SpladePooling"]):
        raise Refusal(
            Reason.UNSUPPORTED_ARCHITECTURE,
            f"{routes.file} sends documents through {names_of(document)}; understood is a router of a sparse model "
            "(a transformer and SpladePooling); a model with two towers is not",
        )
    sentence = read_sentence_config(source, folder=document[0].folder)
    _check_task(Kind.SPLADE, module=document[0], sentence=sentence)
    same = routes.query == routes.document
    if not same and [module.name for module in routes.query] != ["SparseStaticEmbedding"]:
        raise Refusal(
            Reason.UNSUPPORTED_ARCHITECTURE,
            f"{routes.file} sends queries through {names_of(routes.query)}; understood are the document's own modules "
            "and SparseStaticEmbedding",
        )
    return Pipeline(
        kind=Kind.SPLADE,
        transformer=document[0].folder,
        sentence=sentence,
        file=routes.file,
        modules=routes.document,
        pooling=document[1].folder,
        query=None if same else routes.query[0].folder,
    )


def _unknown_order(modules: tuple[Module, ...]) -> Refusal:
    return Refusal(
        Reason.UNSUPPORTED_ARCHITECTURE,
        f"{MODULES_FILE} lists {names_of(modules)}; understood are Transformer and Pooling, after them Dense and "
        "LayerNorm, after those Normalize; Transformer alone (a cross-encoder) or with LogitScore; and MLMTransformer "
        "with SpladePooling",
    )
