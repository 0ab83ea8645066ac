"""The case set: the reference's cases first, then the user's, in as many ConfigMaps as they need."""

from typing import Any

import orjson
import pytest
from model_samples import DIMENSIONS, golden, hub_spec, inspection, verified_by
from reference_samples import reference_set

from embedding_model.goldens.cases import CaseSet
from embedding_model.resolved import Serving
from embedding_model.serving import Overrides, apply_overrides
from embedding_operator.api.spec import parse_spec
from embedding_operator.judge.case_set import MAX_DATA_BYTES, judge_case_set, name_parts, split_case_set
from embedding_operator.judge.verdict import State
from embedding_operator.observe.snapshot import UserGoldens
from embedding_operator.observe.stored_reference import Reference

SPACE = "sp1-" + "0123456789abcdef" * 2
REFERENCE = Reference.from_document(reference_set(SPACE))


def serving() -> Serving:
    found, _ = apply_overrides(inspection(), overrides=Overrides())
    return found


def many(count: int, *, length: int) -> UserGoldens:
    """Cases that take about `length` bytes each."""
    case = {**golden(dimensions=DIMENSIONS), "input": "x" * length}
    lines = [orjson.dumps({**case, "name": f"case-{number}"}).decode() for number in range(count)]
    return UserGoldens(name="mine", exists=True, text="\n".join(lines))


def test_the_reference_comes_first_and_the_parts_one_after_the_other_are_the_set() -> None:
    spec = parse_spec(hub_spec(verification=verified_by(golden("paris"))))
    judged = judge_case_set(spec, serving=serving(), user_goldens=many(3, length=400_000), reference=REFERENCE)
    assert judged.case_set is not None
    parts = split_case_set(judged.case_set)
    assert parts[0] == REFERENCE.goldens
    assert [case.name for part in parts[1:] for case in part.cases] == ["paris", "case-0", "case-1", "case-2"]
    assert len(parts) == 3
    assert all(len(part.to_jsonl()) <= MAX_DATA_BYTES for part in parts)
    whole = CaseSet.from_jsonl(b"".join(part.to_jsonl() for part in parts))
    assert whole.name == judged.case_set.name


def test_each_part_has_a_name_of_its_own_and_only_the_references_depends_on_the_space() -> None:
    judged = judge_case_set(
        parse_spec(hub_spec()), serving=serving(), user_goldens=many(2, length=600_000), reference=REFERENCE
    )
    assert judged.case_set is not None
    here, elsewhere = (name_parts(judged.case_set, model="tiny", space=space) for space in (SPACE, "sp1-other"))
    assert len(set(here)) == 3
    assert here[0] != elsewhere[0]
    assert here[1:] == elsewhere[1:]


def test_a_case_that_no_config_map_holds_is_refused_by_its_name() -> None:
    goldens = many(1, length=MAX_DATA_BYTES)
    judged = judge_case_set(parse_spec(hub_spec()), serving=serving(), user_goldens=goldens)
    assert judged.problem is not None
    assert judged.problem.reason == "InvalidGolden"
    assert 'golden case "case-0" takes 900 KiB' in judged.problem.message


@pytest.mark.parametrize(
    ("goldens", "says"),
    [
        (UserGoldens(name="mine", exists=False, text=None), "does not exist: create it with a key"),
        (UserGoldens(name="mine", exists=True, text=None), 'has no key "goldens.jsonl": create it with a key'),
        (UserGoldens(name="mine", exists=True, text=""), 'holds no case under the key "goldens.jsonl"'),
        (UserGoldens(name="mine", exists=True, text=" \r\n\n"), 'holds no case under the key "goldens.jsonl"'),
        (UserGoldens(name="mine", exists=True, text=None, is_binary=True), "under binaryData"),
    ],
    ids=["no ConfigMap", "no key", "an empty file", "blank lines", "not UTF-8"],
)
@pytest.mark.parametrize("inline", [(), (golden("paris"),)], ids=["alone", "beside inline cases"])
def test_a_config_map_without_cases_is_refused_by_its_name(goldens: UserGoldens, says: str, inline: Any) -> None:
    spec = parse_spec(hub_spec(verification=verified_by(*inline)))
    judged = judge_case_set(spec, serving=serving(), user_goldens=goldens, reference=REFERENCE)
    assert judged.case_set is None
    assert judged.problem is not None
    assert (judged.problem.state, judged.problem.reason) == (State.STALLED, "GoldensConfigMapNotFound")
    assert judged.problem.message.startswith('ConfigMap "mine" of spec.verification.goldensConfigMapRef ')
    assert says in judged.problem.message
    assert judged.problem.recheck_seconds, "the ConfigMap is not watched"


@pytest.mark.parametrize("is_inline", [True, False])
def test_a_name_of_computed_cases_is_not_the_users(is_inline: bool) -> None:
    taken = golden("reference.mine")
    inline, text = ([taken], None) if is_inline else ([], orjson.dumps(taken).decode())
    judged = judge_case_set(
        parse_spec(hub_spec(verification=verified_by(*inline))),
        serving=serving(),
        user_goldens=UserGoldens(name="mine", exists=True, text=text) if text else None,
    )
    assert judged.problem is not None
    assert 'begins with "reference."' in judged.problem.message
