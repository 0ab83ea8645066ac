"""sentence-transformers' modules behind the pooling: Dense and LayerNorm, each with weights in a folder of its own.

The rules are those of its base/modules/dense.py and sentence_transformer/modules/layer_norm.py. They compute in float32
whatever the dtype of the body is: they cost next to nothing, and one vector a text is all that they round.
"""

from collections.abc import Sequence

import torch
from torch import nn

from embedding_model.refusal import Reason, Refusal
from embedding_model.resolved import HeadModule, ModuleKind
from embedding_runtime.architectures.weights import parameters_without_memory, read_tensors
from embedding_runtime.files import Files, files_in


class Dense(nn.Module):
    """A linear layer and an activation; with `residual`, what comes in is added to what comes out of both."""

    def __init__(self, head: HeadModule) -> None:
        super().__init__()
        into, out = head.input_dimensions, head.output_dimensions
        self.linear = nn.Linear(into, out, bias=head.bias)
        self.activation = _build_activation(head.activation)
        self.residual = _build_residual(head)

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.activation(self.linear(vectors))
        return out if self.residual is None else out + self.residual(vectors)


class LayerNorm(nn.Module):
    """With weights; torch's own epsilon, as in the reference."""

    def __init__(self, head: HeadModule) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(head.output_dimensions)

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        normed: torch.Tensor = self.norm(vectors)
        return normed


_CLASSES = {ModuleKind.DENSE: Dense, ModuleKind.LAYER_NORM: LayerNorm}


def load_modules(files: Files, *, heads: Sequence[HeadModule], device: torch.device) -> nn.Sequential:
    """The modules in their order: float32 [batch, width of the pooling] to [batch, model dimensions].

    `files` are all files of the model. Raises Refusal: MISSING_FILE without a module's weights, INCOMPLETE_WEIGHTS,
    UNEXPECTED_WEIGHTS, INVALID_FILE for a wrong shape.
    """
    return nn.Sequential(*(_load(files_in(files, folder=head.folder), head=head) for head in heads)).to(device).eval()


def _load(files: Files, *, head: HeadModule) -> nn.Module:
    with parameters_without_memory():
        module = _CLASSES[head.kind](head)
    wanted = {name: tuple(parameter.shape) for name, parameter in module.named_parameters()}
    tensors = read_tensors(files)
    if missing := sorted(wanted.keys() - tensors.keys()):
        raise Refusal(
            Reason.INCOMPLETE_WEIGHTS,
            f"The weights in {head.folder} lack {', '.join(missing)} of {head.kind}; it would be random.",
        )
    if unexpected := sorted(tensors.keys() - wanted.keys()):
        raise Refusal(
            Reason.UNEXPECTED_WEIGHTS,
            f"The weights in {head.folder} hold {len(unexpected)} tensors that {head.kind} does not have; ignoring "
            "them would serve another model than the one that was trained.",
        )
    for name, shape in wanted.items():
        if tuple(tensors[name].shape) != shape:
            found = list(tensors[name].shape)
            raise Refusal(
                Reason.INVALID_FILE,
                f"{name} in {head.folder} should have the shape {list(shape)} by its config.json; found {found}.",
            )
    module.load_state_dict({name: tensor.float() for name, tensor in tensors.items()}, assign=True)
    return module


def _build_activation(name: str | None) -> nn.Module:
    """`name` is one of those classes of torch.nn that inspection lets through."""
    built: nn.Module = getattr(nn, name or "Identity")()
    return built


def _build_residual(head: HeadModule) -> nn.Module | None:
    if not head.residual:
        return None
    if head.input_dimensions == head.output_dimensions:
        return nn.Identity()
    return nn.Linear(head.input_dimensions, head.output_dimensions, bias=False)
