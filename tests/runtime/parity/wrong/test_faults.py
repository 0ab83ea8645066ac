"""What could be wrong is made wrong, once for each, and the parity test that is named for it must fail.

A fault replaces one function or value of the product while the named test runs. That the tests pass without it is what
the suite shows anyway.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from switched_run import replaced, run_test

from embedding_model.refusal import Refusal
from embedding_model.resolved import Serving
from embedding_runtime.architectures import batch, cross_encoder, embedder, multi_head, weights
from embedding_runtime.architectures.families import ARCHITECTURES
from embedding_runtime.architectures.native import alibi, bert, jina_bert, layout, linear
from embedding_runtime.core import end_token, prompts, reranking, vectors
from embedding_runtime.core.inputs import Input, Pair
from embedding_runtime.core.jobs import Tokens
from embedding_runtime.core.template_tokenizer import TemplateTokenizer
from embedding_runtime.core.tokenizer import TextTokenizer

PARITY = "tests/runtime/parity"
ENCODERS = f"{PARITY}/families/test_encoders.py::test_vectors_equal_the_reference_in_every_batch_and_the_path_is_named"
DECODERS = (
    f"{PARITY}/families/test_decoders.py"
    "::test_the_last_token_equals_the_reference_alone_in_any_batch_and_on_either_padding_side"
)
NUMBERS = f"{PARITY}/test_heads.py::test_every_family_equals_the_reference_by_its_own_code_or_by_transformers"
PROMPTS = f"{PARITY}/test_heads.py::test_a_prompt_that_pooling_leaves_out_equals_the_reference"
MODULES = f"{PARITY}/test_modules.py::test_modules_behind_the_pooling_equal_the_reference"
CROSS_ENCODERS = f"{PARITY}/rerankers/test_cross_encoders.py::test_logits_equal_the_reference_in_every_arrangement"
JINA_BERT = f"{PARITY}/families/test_jina_bert.py"

Switch = Callable[[], AbstractContextManager[object]]


@dataclass(frozen=True)
class Fault:
    """`switch` makes it, `test` must fail then, with `error`."""

    switch: Switch
    test: str
    error: type[Exception] = AssertionError


def drop_the_end() -> AbstractContextManager[object]:
    encode = TextTokenizer.encode

    def encode_without_end(self: TextTokenizer, inputs: Sequence[Input]) -> list[Tokens]:
        return [replace(tokens, ids=tokens.ids[:-1] or tokens.ids) for tokens in encode(self, inputs)]

    return replaced(TextTokenizer, "encode", encode_without_end)


@contextmanager
def drop_the_end_unnoticed() -> Iterator[None]:
    with replaced(end_token, "require_end_token", lambda tokenizer, *, end_token: tokenizer), drop_the_end():
        yield


def put_the_prompt_before_documents() -> AbstractContextManager[object]:
    find = prompts._find_by_type

    def find_for_queries(input_type: prompts.InputType, *, serving: Serving) -> str:
        return find(prompts.InputType.QUERY, serving=serving)

    return replaced(prompts, "_find_by_type", find_for_queries)


def pool_over_the_prompt() -> AbstractContextManager[object]:
    return replaced(batch.Batch, "mask_without_prompt", lambda self: self.attention)


def pool_over_padding() -> AbstractContextManager[object]:
    pool = embedder.pool

    def pool_everything(hidden: torch.Tensor, *, batch: batch.Batch, **how: Any) -> torch.Tensor:
        return pool(hidden, batch=replace(batch, attention=torch.ones_like(batch.attention)), **how)

    return replaced(embedder, "pool", pool_everything)


def see_the_neighbours() -> AbstractContextManager[object]:
    form_groups = layout._form_groups

    def form_one(lengths: Sequence[int], *, dtype: torch.dtype) -> list[Any]:
        return form_groups([sum(lengths)], dtype=dtype)

    return replaced(layout, "_form_groups", form_one)


def forget_the_residual() -> AbstractContextManager[object]:
    forward = linear.Linear.forward

    def without(layer: Any, rows: torch.Tensor, *, residual: Any = None, **how: Any) -> torch.Tensor:
        return forward(layer, rows, **how)

    return replaced(linear.Linear, "forward", without)


def count_positions_from_zero() -> AbstractContextManager[object]:
    return replaced(bert.COUNTS_BEHIND_PADDING, "roberta", False)


def lose_token_types() -> AbstractContextManager[object]:
    collate = cross_encoder.collate

    def collate_without_types(tokens: Sequence[Tokens], **how: Any) -> batch.Batch:
        return replace(collate(tokens, **how), types=None)

    return replaced(cross_encoder, "collate", collate_without_types)


def approximate_gelu() -> AbstractContextManager[object]:
    return replaced(linear.ACTIVATIONS, "gelu", linear.ACTIVATIONS["gelu_new"])


def normalize_before_the_cut() -> AbstractContextManager[object]:
    finish = vectors.finish

    def finish_in_the_wrong_order(
        pooled: np.ndarray, *, serving: Serving, dimensions: int | None = None, normalize: bool | None = None
    ) -> np.ndarray:
        return finish(pooled, serving=serving, dimensions=pooled.shape[1], normalize=normalize)[:, :dimensions]

    return replaced(vectors, "finish", finish_in_the_wrong_order)


def leave_out_the_layer_norm() -> AbstractContextManager[object]:
    return replaced(vectors, "_layer_norm", lambda pooled: pooled)


def cut_the_template() -> AbstractContextManager[object]:
    """As a plain tokenizer truncates."""

    def cut(self: TemplateTokenizer, pair: Pair, *, segments: Sequence[Any]) -> Tokens:
        measured = [self._measure(segment, pair=pair) for segment in segments]
        ids = [id_ for part in measured for id_ in part.ids]
        return Tokens(ids=ids[: self.max_tokens], truncated=True)

    return replaced(TemplateTokenizer, "_fit", cut)


def answer_before_the_activation() -> AbstractContextManager[object]:
    return replaced(reranking, "activate", lambda logits, *, activation: logits)


def weigh_special_tokens() -> AbstractContextManager[object]:
    return replaced(multi_head, "find_special_ids", lambda files: frozenset())


def leave_the_head_random() -> AbstractContextManager[object]:
    assign = weights.assign

    def assign_the_body(model: torch.nn.Module, **how: Any) -> None:
        assign(model, **how)
        for name, parameter in model.named_parameters():
            if name.startswith("classifier."):
                parameter.data = torch.randn(parameter.shape)

    return replaced(weights, "assign", assign_the_body)


def turn_by_another_base() -> AbstractContextManager[object]:
    right = ARCHITECTURES["qwen3"]

    def adapt(config: Mapping[str, Any]) -> Mapping[str, Any]:
        return {
            **right.adapt(config),
            "rope_theta": 500.0,
            "rope_parameters": {"rope_theta": 500.0, "rope_type": "default"},
        }

    return replaced(ARCHITECTURES, "qwen3", dataclasses.replace(right, adapt=adapt))


def read_the_last_column() -> AbstractContextManager[object]:
    return replaced(batch.Batch, "last_positions", lambda self: torch.full((len(self.ids),), self.ids.shape[1] - 1))


def take_left_padding_for_right() -> AbstractContextManager[object]:
    return replaced(batch.Batch, "last_positions", lambda self: self.attention.sum(dim=1) - 1)


def drop_modules() -> AbstractContextManager[object]:
    return replaced(embedder, "load_modules", lambda files, **how: torch.nn.Sequential())


def space_slopes_evenly() -> AbstractContextManager[object]:
    """The sequence of a power of two, taken for any number of heads."""
    return replaced(
        alibi, "find_slopes", lambda heads: tuple(2.0 ** (-8 * (number + 1) / heads) for number in range(heads))
    )


def attend_to_padding() -> AbstractContextManager[object]:
    rows = alibi.Alibi.rows

    def rows_without_mask(self: alibi.Alibi, start: int, stop: int) -> torch.Tensor:
        return rows(replace(self, attention=None), start, stop)

    return replaced(alibi.Alibi, "rows", rows_without_mask)


def swap_the_gate() -> AbstractContextManager[object]:
    def forward(self: Any, hidden: torch.Tensor) -> torch.Tensor:
        up, gate = self.gated_layers(hidden).chunk(2, dim=-1)
        answer: torch.Tensor = self.layernorm(self.wo(self._activate(gate) * up) + hidden)
        return answer

    return replaced(jina_bert._GatedFeedForward, "forward", forward)


FAULTS: Mapping[str, Fault] = {
    "the end token is dropped": Fault(drop_the_end, f"{DECODERS}[qwen3]", Refusal),
    "the end token is dropped where nothing looks for it": Fault(drop_the_end_unnoticed, f"{DECODERS}[qwen3]"),
    "pooling over the prompt": Fault(pool_over_the_prompt, f"{PROMPTS}[Mean]"),
    "pooling over padding": Fault(pool_over_padding, f"{ENCODERS}[mpnet]"),
    "attention across the texts of a batch": Fault(see_the_neighbours, f"{ENCODERS}[bert]"),
    "no residual": Fault(forget_the_residual, f"{ENCODERS}[bert]"),
    "positions off by two": Fault(count_positions_from_zero, f"{ENCODERS}[roberta]"),
    "token types are lost": Fault(lose_token_types, f"{CROSS_ENCODERS}[bert]"),
    "tanh for the exact gelu": Fault(approximate_gelu, f"{NUMBERS}[bert-gelu-native BertEncoder]"),
    "the queries' prompt on documents": Fault(
        put_the_prompt_before_documents,
        f"{PARITY}/test_prompts.py"
        "::test_queries_and_documents_get_the_prompts_that_the_reference_gives_them[a query alone-None]",
    ),
    "normalised before the cut": Fault(
        normalize_before_the_cut, f"{PARITY}/test_matryoshka.py::test_a_cut_vector_is_normalised_again[17]"
    ),
    "no layer norm before the cut": Fault(
        leave_out_the_layer_norm,
        f"{PARITY}/test_matryoshka.py::test_a_model_trained_with_a_layer_norm_before_the_cut_gets_it[8]",
    ),
    "the template's end cut off": Fault(
        cut_the_template,
        f"{PARITY}/rerankers/test_language_models.py"
        "::test_scores_equal_the_reference_formula_in_every_arrangement[Qwen3-Reranker]",
    ),
    "a score before the activation": Fault(
        answer_before_the_activation,
        f"{PARITY}/rerankers/test_cross_encoders.py"
        "::test_scores_go_through_the_activation_that_the_reference_takes[None]",
    ),
    "special tokens in a sparse vector": Fault(
        weigh_special_tokens,
        f"{PARITY}/sparse/test_multi_head.py::test_all_three_answers_follow_the_rules_in_every_arrangement",
    ),
    "a head left at random": Fault(leave_the_head_random, f"{CROSS_ENCODERS}[bert]"),
    "another rotary base": Fault(turn_by_another_base, f"{DECODERS}[qwen3]"),
    "the last column for the last token": Fault(read_the_last_column, f"{DECODERS}[llama]"),
    "left padding taken for right": Fault(take_left_padding_for_right, f"{DECODERS}[llama]"),
    "Dense dropped": Fault(drop_modules, f"{MODULES}[everything]"),
    "ALiBi's slopes spaced evenly": Fault(
        space_slopes_evenly, f"{JINA_BERT}::test_vectors_equal_the_formula[no power of two-gated]"
    ),
    "attention to padding": Fault(
        attend_to_padding, f"{JINA_BERT}::test_vectors_equal_the_formula[no power of two-gated]"
    ),
    "the halves of a gate swapped": Fault(
        swap_the_gate, f"{JINA_BERT}::test_vectors_equal_the_formula[no power of two-gated]"
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_makes_the_parity_test_that_is_named_for_it_fail(name: str) -> None:
    fault = FAULTS[name]

    raised = run_test(fault.test, switch=fault.switch())

    assert isinstance(raised, fault.error), f"{fault.test} passes with the fault, or fails otherwise: {raised!r}"
