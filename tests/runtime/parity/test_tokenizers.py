"""tokenizer.json against what transformers builds from it: either the ids are equal, or the model is refused."""

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from embedding_model.inspection.documents import JsonObject
from embedding_model.inspection.tokenizer import read_tokenizer
from embedding_model.refusal import Reason, Refusal
from embedding_model.resolved import Pooling, Serving, Task
from embedding_model.sources.folder import FolderSource
from embedding_runtime.core.inputs import Text
from embedding_runtime.core.tokenizer import load_text_tokenizer

LETTERS = "abcdefghijklmnopqrstuvwxyzHNEWéï中文[]"
PIECES = ["hello", "world", *LETTERS]
TEXTS = ["Hello [NEW] world", "hello  WORLD ", "  naïve café", "中文 hello", "Hello[NEW]hello", "new\nline\ttab"]
BERT = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
ROBERTA = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]

Files = dict[str, dict[str, Any]]
Change = Callable[[Files], None]


def build(family: str) -> Any:
    """A tokenizer of the family's own class."""
    import transformers
    from tokenizers.pre_tokenizers import ByteLevel

    wordpiece = [*PIECES, *(f"##{piece}" for piece in PIECES)]
    if family in ("bert", "distilbert"):
        return transformers.BertTokenizer(vocab={token: id_ for id_, token in enumerate([*BERT, *wordpiece])})
    if family == "mpnet":
        vocabulary = [*ROBERTA[:4], "[UNK]", *wordpiece, "<mask>"]
        return transformers.MPNetTokenizer(vocab={token: id_ for id_, token in enumerate(vocabulary)})
    if family == "roberta":
        vocabulary = [*ROBERTA[:4], *sorted(ByteLevel.alphabet()), "he", "<mask>"]
        vocab = {token: id_ for id_, token in enumerate(vocabulary)}
        return transformers.RobertaTokenizer(vocab=vocab, merges=[("h", "e")])
    scores = [(piece, -5.0) for piece in ("\u2581", "\u2581hello", *PIECES)]
    specials = [(token, 0.0) for token in ROBERTA[:4]]
    classes = {"xlm-roberta": transformers.XLMRobertaTokenizer, "camembert": transformers.CamembertTokenizer}
    return classes[family](vocab=[*specials, *scores, ("<mask>", 0.0)])


def settings(**values: Any) -> Change:
    return lambda files: files["tokenizer_config.json"].update(values)


def forget(*keys: str) -> Change:
    return lambda files: [files["tokenizer_config.json"].pop(key, None) for key in keys] and None


def normalizer(*steps: dict[str, Any]) -> Change:
    return lambda files: files["tokenizer.json"].update(normalizer={"type": "Sequence", "normalizers": list(steps)})


def bert_normalizer(**values: Any) -> Change:
    return lambda files: files["tokenizer.json"]["normalizer"].update(values)


def metaspace(scheme: str) -> Change:
    return lambda files: files["tokenizer.json"]["pre_tokenizer"]["pretokenizers"][1].update(prepend_scheme=scheme)


def byte_prefix(files: Files) -> None:
    files["tokenizer.json"]["pre_tokenizer"]["add_prefix_space"] = True


def new_token(files: Files) -> None:
    added = files["tokenizer.json"]["added_tokens"]
    id_ = max(*(entry["id"] for entry in added), *files["tokenizer.json"]["model"]["vocab"].values()) + 1
    added.append({**added[0], "id": id_, "content": "[NEW]"})


def listed(files: Files) -> None:
    """added_tokens_decoder as transformers 4 wrote it."""
    decoder = {str(token["id"]): {**token} for token in files["tokenizer.json"]["added_tokens"]}
    for entry in decoder.values():
        del entry["id"]
    files["tokenizer_config.json"]["added_tokens_decoder"] = decoder


CASED = bert_normalizer(lowercase=False)
LOWER = {"type": "Lowercase"}
BLANKS = {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": "\u2581"}
STRIP = {"type": "Strip", "strip_left": False, "strip_right": True}

AGREE: dict[str, tuple[str, list[Change]]] = {
    "BERT as saved": ("bert", []),
    "DistilBERT as saved": ("distilbert", []),
    "MPNet as saved": ("mpnet", []),
    "RoBERTa as saved": ("roberta", []),
    "XLM-R as saved": ("xlm-roberta", []),
    "CamemBERT as saved": ("camembert", []),
    "without any option": ("bert", [forget("do_lower_case", "strip_accents", "tokenize_chinese_chars")]),
    "no class named": ("bert", [forget("tokenizer_class")]),
    "cased in both": ("bert", [CASED, settings(do_lower_case=False)]),
    "accents kept in both": ("bert", [bert_normalizer(strip_accents=False), settings(strip_accents=False)]),
    "cased, of the class without rules": ("bert", [CASED, settings(tokenizer_class="PreTrainedTokenizerFast")]),
    "a new token in both": ("bert", [new_token, settings(additional_special_tokens=["[NEW]"])]),
    "a new token in both, listed": ("bert", [new_token, listed]),
    "listed as in transformers 4": ("roberta", [listed]),
    "a prefix space in both": ("roberta", [byte_prefix, settings(add_prefix_space=True)]),
    "no prefix in both": ("xlm-roberta", [metaspace("never"), settings(add_prefix_space=False)]),
    "blanks replaced, as old versions wrote": ("xlm-roberta", [normalizer(STRIP, BLANKS)]),
    "XLM-R's class in another family": ("xlm-roberta", [lambda files: files["config.json"].update(model_type="bert")]),
}
DISAGREE: dict[str, tuple[str, list[Change]]] = {
    "cased, with the option's default": ("bert", [CASED, forget("do_lower_case")]),
    "cased, with the option saying otherwise": ("distilbert", [CASED]),
    "lower case in the option only": ("mpnet", [settings(do_lower_case=False)]),
    "accents kept in tokenizer.json only": ("bert", [bert_normalizer(strip_accents=False)]),
    "Chinese not split in tokenizer.json only": ("bert", [bert_normalizer(handle_chinese_chars=False)]),
    "a token that the options add": ("bert", [settings(additional_special_tokens=["[NEW]"])]),
    "a token by its newer name": ("xlm-roberta", [settings(extra_special_tokens=["[NEW]"])]),
    "a token that the class without rules adds": (
        "bert",
        [settings(tokenizer_class="PreTrainedTokenizerFast", additional_special_tokens=["[NEW]"])],
    ),
    "a token that the list lacks": ("bert", [listed, new_token]),
    "another first token": ("bert", [settings(cls_token="[MASK]")]),
    "a prefix space in tokenizer.json only": ("roberta", [byte_prefix]),
    "a prefix space in the options only": ("roberta", [settings(add_prefix_space=True)]),
    "a normaliser that RoBERTa's class drops": ("roberta", [normalizer(LOWER)]),
    "no prefix in tokenizer.json only": ("xlm-roberta", [metaspace("never")]),
    "a normaliser that XLM-R's class drops": ("xlm-roberta", [normalizer(LOWER)]),
}


def save(folder: Path, *, family: str, changes: list[Change]) -> Files:
    build(family).save_pretrained(folder)
    names = ("tokenizer.json", "tokenizer_config.json")
    files: Files = {name: json.loads((folder / name).read_text()) for name in names}
    files["config.json"] = {"model_type": family}
    for change in changes:
        change(files)
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content))
    return files


def check(folder: Path, *, family: str, files: Files) -> None:
    documents = [JsonObject(path=name, values=files[name]) for name in ("config.json", "tokenizer_config.json")]
    read_tokenizer(FolderSource(folder), folder="", family=family, config=documents[0], tokenizer_config=documents[1])


def served_ids(folder: Path, *, family: str) -> list[list[int]]:
    serving = Serving(
        task=Task.EMBEDDING, pooling=Pooling.MEAN, include_prompt=True, normalize=True, dimensions=8,
        model_dimensions=8, max_input_tokens=64, lowercase=False,
    )  # fmt: skip
    files = {path.name: bytearray(path.read_bytes()) for path in folder.iterdir()}
    tokenizer = load_text_tokenizer(files, serving=serving, family=family)
    return [list(tokens.ids) for tokens in tokenizer.encode([Text(text) for text in TEXTS])]


def reference_ids(folder: Path) -> list[list[int]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        return [list(tokenizer(text)["input_ids"]) for text in TEXTS]


@pytest.mark.parametrize("case", AGREE)
def test_a_tokenizer_that_is_accepted_gives_the_ids_of_the_reference(case: str, tmp_path: Path) -> None:
    family, changes = AGREE[case]
    files = save(tmp_path, family=family, changes=changes)

    check(tmp_path, family=family, files=files)

    assert served_ids(tmp_path, family=family) == reference_ids(tmp_path)


@pytest.mark.parametrize("case", DISAGREE)
def test_a_tokenizer_whose_ids_would_differ_from_the_reference_is_refused(case: str, tmp_path: Path) -> None:
    family, changes = DISAGREE[case]
    files = save(tmp_path, family=family, changes=changes)
    assert served_ids(tmp_path, family=family) != reference_ids(tmp_path), "the case must be about something"

    with pytest.raises(Refusal) as refused:
        check(tmp_path, family=family, files=files)

    assert refused.value.reason is Reason.CONTRADICTORY_EVIDENCE
    assert "tokenizer.json" in refused.value.message
    assert "save_pretrained" in refused.value.message


def test_a_vocabulary_with_odd_line_ends_gives_the_tokens_of_the_reference(tmp_path: Path) -> None:
    lines = [*BERT, "hello", "wor\u2028ld", "end\r", "c\u3000", "\u0085", "", "world ", "[", "]", "##h\x0b"]
    (tmp_path / "vocab.txt").write_bytes(("\n".join(lines) + "\nlast").encode())
    files: Files = {"config.json": {"model_type": "bert"}, "tokenizer_config.json": {"do_lower_case": False}}
    for name, content in files.items():
        (tmp_path / name).write_text(json.dumps(content))

    check(tmp_path, family="bert", files=files)

    served = served_ids(tmp_path, family="bert")
    assert served == reference_ids(tmp_path)
    assert lines.index("world ") in served[0]
