"""Dense and LayerNorm: sentence-transformers' modules between pooling and normalisation, each with its own weights.

Without one of them every vector would be wrong, so each must be understood to the last key
(sentence_transformers/base/modules/dense.py, sentence_transformer/modules/layer_norm.py).
"""

import re
from collections.abc import Mapping, Sequence

from embedding_model.inspection.documents import JsonObject, join, read_object
from embedding_model.inspection.modules import Module
from embedding_model.inspection.quoting import quote
from embedding_model.inspection.reading import weight_files
from embedding_model.inspection.tensors import Tensor, read_tensors
from embedding_model.refusal import Reason, Refusal
from embedding_model.resolved import Evidence, HeadModule, ModuleKind
from embedding_model.sources.selection import CONFIG_FILE, MODULES_FILE
from embedding_model.sources.source import Source

_ACTIVATION = re.compile(
    r"torch\.nn\.modules\.(?:activation|linear)\.([A-Za-z0-9]{1,40})|torch\.nn\.([A-Za-z0-9]{1,40})"
)
# Classes of torch.nn that need no arguments and give the same output for the same input.
ACTIVATIONS = frozenset(
    {
        "ELU",
        "GELU",
        "Hardsigmoid",
        "Hardswish",
        "Hardtanh",
        "Identity",
        "LeakyReLU",
        "Mish",
        "ReLU",
        "ReLU6",
        "SELU",
        "SiLU",
        "Sigmoid",
        "Softplus",
        "Tanh",
    }
)
# A folder as sentence-transformers names a module's: its number in the order, then its class. Models that are
# published in several widths have one Dense for each, all with the same number (2_Dense_1024, 2_Dense_8192).
_FOLDER = re.compile(r"(\d{1,3})_(?:Dense|LayerNorm)(?:_\w{1,40})?")
_DENSE_KEYS = frozenset({"in_features", "out_features", "bias", "activation_function", "use_residual"})
_INPUT = "sentence_embedding"


def read_head_modules(
    source: Source, *, modules: Sequence[Module], selected: Sequence[str], dimensions: int
) -> tuple[tuple[HeadModule, ...], tuple[Evidence, ...]]:
    """The modules in their order; `dimensions` is the width that comes out of the pooling.

    Raises Refusal: INVALID_FILE, MISSING_FILE, UNSUPPORTED_ARCHITECTURE for settings that are not understood,
    CONTRADICTORY_EVIDENCE for widths that do not follow each other and for a module's folder that modules.json leaves
    out, INCOMPLETE_WEIGHTS, UNEXPECTED_WEIGHTS.
    """
    heads: list[HeadModule] = []
    evidence: list[Evidence] = []
    for number, module in enumerate(modules):
        config = read_object(source, path=join(module.folder, CONFIG_FILE))
        head = (
            _read_dense(config, folder=module.folder) if module.name == "Dense" else _read_norm(config, module=module)
        )
        if head.input_dimensions != dimensions:
            raise Refusal(
                Reason.CONTRADICTORY_EVIDENCE,
                f"{config.path} takes vectors of {head.input_dimensions} dimensions, but {dimensions} come in: the "
                "file belongs to another model",
            )
        _check_weights(source, head=head, selected=selected)
        dimensions = head.output_dimensions
        heads.append(head)
        evidence.append(_describe(head, file=config.path, number=number))
    _check_left_out(source, modules=modules)
    return tuple(heads), tuple(evidence)


def _check_left_out(source: Source, *, modules: Sequence[Module]) -> None:
    """A modules.json of another model may name fewer modules; without one of them every vector would be wrong."""
    listed = [found.group(1) for module in modules if (found := _FOLDER.fullmatch(module.folder))]
    for file in source.files():
        folder, _, name = file.path.partition("/")
        found = _FOLDER.fullmatch(folder)
        if found is not None and name == CONFIG_FILE and found.group(1) not in listed:
            raise Refusal(
                Reason.CONTRADICTORY_EVIDENCE,
                f"the folder {folder} holds a module that {MODULES_FILE} does not name: without it the vectors would "
                f"be others. Use the {MODULES_FILE} that belongs to the model, or take the folder away",
            )


def _read_dense(config: JsonObject, *, folder: str) -> HeadModule:
    residual = config.flag("use_residual") or False
    for key, value in config.values.items():
        if key in _DENSE_KEYS or value is None or value is False:
            continue
        if key in ("module_input_name", "module_output_name") and value == _INPUT:
            continue
        raise Refusal(
            Reason.UNSUPPORTED_ARCHITECTURE,
            f"{config.path}: {quote(key)} is set, which is not understood; ignoring it could change every vector",
        )
    bias = config.flag("bias")
    return HeadModule(
        kind=ModuleKind.DENSE,
        folder=folder,
        input_dimensions=config.required_integer("in_features"),
        output_dimensions=config.required_integer("out_features"),
        activation=_read_activation(config),
        bias=bias is not False,
        residual=residual,
    )


def _read_activation(config: JsonObject) -> str:
    if "activation_function" not in config.values:
        return "Tanh"  # Dense's own default
    written = config.text("activation_function")
    if written is None:
        return "Identity"
    found = _ACTIVATION.fullmatch(written)
    name = (found.group(1) or found.group(2)) if found else None
    if name not in ACTIVATIONS:
        raise Refusal(
            Reason.UNSUPPORTED_ARCHITECTURE,
            f"{config.path}: activation_function is {quote(written)}; understood are these classes of torch.nn: "
            f"{', '.join(sorted(ACTIVATIONS))}",
        )
    return name


def _read_norm(config: JsonObject, *, module: Module) -> HeadModule:
    width = config.required_integer("dimension")
    return HeadModule(kind=ModuleKind.LAYER_NORM, folder=module.folder, input_dimensions=width, output_dimensions=width)


def _check_weights(source: Source, *, head: HeadModule, selected: Sequence[str]) -> None:
    stored = read_tensors(source, files=weight_files(selected, folder=head.folder))
    expected = _expected(head)
    where = join(head.folder, "model.safetensors")
    missing = [name for name in expected if name not in stored]
    if missing:
        raise Refusal(
            Reason.INCOMPLETE_WEIGHTS,
            f"{where} lacks {', '.join(missing)} of the module {head.kind}; it would be filled with random numbers",
        )
    unexpected = next((name for name in stored if name not in expected), None)
    if unexpected is not None:
        raise Refusal(
            Reason.UNEXPECTED_WEIGHTS, f"{where} holds {quote(unexpected)}, which the module {head.kind} does not have"
        )
    _check_shapes(stored, expected=expected, head=head)


def _check_shapes(stored: Mapping[str, Tensor], *, expected: Mapping[str, tuple[int, ...]], head: HeadModule) -> None:
    for name, shape in expected.items():
        tensor = stored[name]
        if tensor.shape != shape:
            raise Refusal(
                Reason.CONTRADICTORY_EVIDENCE,
                f"{tensor.file}: {name} has the shape {list(tensor.shape)}, but {join(head.folder, CONFIG_FILE)} says "
                f"{list(shape)}: the two files belong to different models",
            )
        if not tensor.is_floating:
            raise Refusal(
                Reason.UNSUPPORTED_FORMAT, f"{tensor.file}: {name} is stored as {tensor.dtype}; expected plain floats"
            )


def _expected(head: HeadModule) -> dict[str, tuple[int, ...]]:
    if head.kind is ModuleKind.LAYER_NORM:
        return {"norm.weight": (head.output_dimensions,), "norm.bias": (head.output_dimensions,)}
    shapes: dict[str, tuple[int, ...]] = {"linear.weight": (head.output_dimensions, head.input_dimensions)}
    if head.bias:
        shapes["linear.bias"] = (head.output_dimensions,)
    if head.residual and head.input_dimensions != head.output_dimensions:
        shapes["residual.weight"] = (head.output_dimensions, head.input_dimensions)
    return shapes


def _describe(head: HeadModule, *, file: str, number: int) -> Evidence:
    words = [f"{head.kind} {head.input_dimensions} -> {head.output_dimensions}"]
    if head.activation is not None:
        words.append(head.activation)
    if head.residual:
        words.append("with what comes in added")
    return Evidence(
        field=f"modules[{number}]",
        value=", ".join(words),
        file=file,
        note="its weights have these shapes",
    )
