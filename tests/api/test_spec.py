"""`parse_spec` and the models of the spec: what the operator reads from a live object."""

import pytest

from embedding_operator.api.spec import InvalidSpec, parse_spec

LEAST = {"model": {"huggingFace": {"repo": "acme/model"}}}


def test_the_least_spec_has_every_default() -> None:
    spec = parse_spec(LEAST)
    assert spec.model.hugging_face is not None
    assert spec.model.hugging_face.revision == "main"
    assert (spec.replicas, spec.suspend) == (1, False)
    assert (spec.embedding.pooling, spec.embedding.normalize) == ("Auto", "Auto")
    assert spec.embedding.prompts is None
    assert spec.verification.min_cosine_similarity == "0.999"
    assert spec.verification.failure_policy == "Block"
    assert spec.runtime.profile is None


def test_no_prompts_and_the_models_own_prompts_are_told_apart() -> None:
    assert parse_spec({**LEAST, "embedding": {"prompts": []}}).embedding.prompts == ()


def test_quantities_are_text_however_they_were_written() -> None:
    spec = parse_spec({**LEAST, "resources": {"limits": {"nvidia.com/gpu": 1, "memory": "1Gi"}}})
    assert spec.resources.limits == {"nvidia.com/gpu": "1", "memory": "1Gi"}


def test_a_field_of_a_newer_api_is_refused_by_its_path() -> None:
    with pytest.raises(InvalidSpec) as error:
        parse_spec({**LEAST, "embedding": {"quantization": "Int8"}})
    assert error.value.message == (
        "spec.embedding.quantization: this operator does not know the field; remove it, or upgrade the operator"
    )


def test_every_wrong_field_is_named_and_no_value_is_quoted() -> None:
    secret = "hf_s3cr3t"
    with pytest.raises(InvalidSpec) as error:
        parse_spec(
            {
                "model": {"huggingFace": {"repo": secret, "revision": f"{secret} {secret}"}},
                "verification": {"goldens": [{"name": "a", "similarity": {"a": secret}}]},
                "replicas": secret,
            }
        )
    message = error.value.message
    for path in (
        "spec.model.huggingFace.repo",
        "spec.model.huggingFace.revision",
        "spec.verification.goldens[0].similarity.b",
        "spec.replicas",
    ):
        assert f"{path}: " in message
    assert secret not in message


@pytest.mark.parametrize("raw", [None, [], "spec", 7])
def test_a_spec_that_is_no_object_is_an_answer_not_a_crash(raw: object) -> None:
    with pytest.raises(InvalidSpec, match="expected an object"):
        parse_spec(raw)


def test_a_spec_cannot_be_changed() -> None:
    spec = parse_spec(LEAST)
    with pytest.raises(ValueError, match="frozen"):
        spec.replicas = 2  # type: ignore[misc]
