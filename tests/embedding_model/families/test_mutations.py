"""One tensor dropped, renamed, reshaped or quantised: the answer stays, loses a language head, or is a refusal."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import pytest
from built_classes import CASES, CAUSAL, MASKED, build, config_of, stored
from jina_bert_tensors import CONFIG, layer_list

from embedding_model.inspection.architecture import identify
from embedding_model.inspection.documents import JsonObject
from embedding_model.inspection.families import FAMILIES
from embedding_model.inspection.identified import Head, Identified
from embedding_model.inspection.tensors import Tensor
from embedding_model.refusal import Reason, Refusal

Model = tuple[JsonObject, dict[str, Tensor]]


def models() -> Iterator[tuple[str, Head | None, int]]:
    for index, case in enumerate(CASES):
        for head in FAMILIES[case.family].classes:
            yield f"{case.id}, {head or 'body'}", head, index


MODELS = [pytest.param(index, head, id=name) for name, head, index in models()]


def load(index: int, head: Head | None) -> Model:
    name = FAMILIES[CASES[index].family].classes[head]
    return config_of(index, head, name), stored(build(index, head, name)[0])


def own_tensors(index: int, head: Head | None, tensors: Mapping[str, Tensor]) -> list[str]:
    """Of a model with a head the tensors that its body does not have: the body's are changed by themselves."""
    if head is None:
        return list(tensors)
    classes = FAMILIES[CASES[index].family].classes
    body, prefix = build(index, None, classes[None])[0], build(index, head, classes[head])[2]
    return [name for name in tensors if name.removeprefix(f"{prefix}.") not in body]


def try_identify(config: JsonObject, tensors: Mapping[str, Tensor]) -> Identified | Refusal:
    try:
        return identify(config, tensors)
    except Refusal as refusal:
        return refusal


def assert_harmless(found: Identified | Refusal, *, whole: Identified, expected: set[Reason]) -> None:
    """Refused for one of the reasons, or the same answer with at most a language head less."""
    if isinstance(found, Refusal):
        assert found.reason in expected, found.message
        return
    assert whole.heads - found.heads <= {MASKED, CAUSAL}
    assert found.heads <= whole.heads
    same = {"heads": whole.heads, "head_tensor": whole.head_tensor, "word_tensor": whole.word_tensor}
    assert replace(found, **same, overruled=()) == replace(whole, overruled=())


@pytest.mark.parametrize(("index", "head"), MODELS)
def test_a_dropped_tensor_is_missed(index: int, head: Head | None) -> None:
    config, tensors = load(index, head)
    whole = identify(config, tensors)
    tied = build(index, head, FAMILIES[CASES[index].family].classes[head])[1]
    twins = tied.keys() | set(tied.values())
    for name in tensors:
        found = try_identify(config, {key: tensor for key, tensor in tensors.items() if key != name})
        assert_harmless(found, whole=whole, expected={Reason.INCOMPLETE_WEIGHTS})
        if not isinstance(found, Refusal) and head not in (MASKED, CAUSAL):
            assert name in twins


@pytest.mark.parametrize(("index", "head"), MODELS)
def test_a_renamed_tensor_is_strange(index: int, head: Head | None) -> None:
    config, tensors = load(index, head)
    for name in own_tensors(index, head, tensors):
        renamed = {key: tensor for key, tensor in tensors.items() if key != name}
        renamed[f"{name}_2"] = replace(tensors[name], name=f"{name}_2")
        found = try_identify(config, renamed)
        assert isinstance(found, Refusal), name
        assert found.reason in (Reason.INCOMPLETE_WEIGHTS, Reason.UNEXPECTED_WEIGHTS)


@pytest.mark.parametrize(("index", "head"), MODELS)
def test_a_reshaped_tensor_contradicts_config_json(index: int, head: Head | None) -> None:
    config, tensors = load(index, head)
    for name in own_tensors(index, head, tensors):
        tensor = tensors[name]
        for shape in ((*tensor.shape[:-1], tensor.shape[-1] + 1), (*tensor.shape, 1), tensor.shape[:-1]):
            found = try_identify(config, {**tensors, name: replace(tensor, shape=shape)})
            assert isinstance(found, Refusal), (name, shape)
            assert found.reason is Reason.CONTRADICTORY_EVIDENCE


@pytest.mark.parametrize(("index", "head"), MODELS)
def test_an_integer_where_a_float_belongs_is_quantised(index: int, head: Head | None) -> None:
    config, tensors = load(index, head)
    for name in own_tensors(index, head, tensors):
        found = try_identify(config, {**tensors, name: replace(tensors[name], dtype="I8")})
        assert isinstance(found, Refusal), name
        assert found.reason is Reason.UNSUPPORTED_FORMAT


@pytest.mark.parametrize(("index", "head"), MODELS)
def test_config_json_of_one_layer_more_or_less_is_refused(index: int, head: Head | None) -> None:
    config, tensors = load(index, head)
    key = {"distilbert": "n_layers", "t5": "num_layers", "albert": "num_hidden_groups"}.get(
        CASES[index].family, "num_hidden_layers"
    )
    for change in (1, -1):
        count = config.values[key] + change
        if count:
            found = try_identify(replace(config, values={**config.values, key: count}), tensors)
            assert isinstance(found, Refusal)
            assert found.reason in (Reason.INCOMPLETE_WEIGHTS, Reason.UNEXPECTED_WEIGHTS)


@pytest.mark.parametrize("variant", ["gated", "code", "original"])
@pytest.mark.parametrize("head", [False, True])
def test_jina_bert_is_known_whole_or_not_at_all(variant: str, head: bool) -> None:
    config = JsonObject("config.json", CONFIG[variant])
    shapes = layer_list(variant, prefix="bert." if head else "")
    if head:
        shapes |= {"classifier.weight": (1, 8), "classifier.bias": (1,)}
    tensors = stored(shapes)
    whole = identify(config, tensors)
    assert whole.heads == ({Head.SEQUENCE_CLASSIFICATION} if head else set())
    for name, tensor in tensors.items():
        dropped = try_identify(config, {key: item for key, item in tensors.items() if key != name})
        assert isinstance(dropped, Refusal), name
        reshaped = try_identify(config, {**tensors, name: replace(tensor, shape=(*tensor.shape, 2))})
        assert isinstance(reshaped, Refusal), name
