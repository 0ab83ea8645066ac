"""The fixed text set: what the reference implementation is asked, the same for every model.

Both halves have every sort of text: short ones in many languages and scripts, long ones, ones that are cut, ones under
each prompt of the model, nearly empty ones, and ones with unusual white space. No text is in both halves, so that a pod
that knows the answers to its goldens knows none of the holdout's.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

# Tokens. A text that is cut costs as much as the longest input, at each check of each pod: 8192 tokens of a model of
# half a billion parameters are a minute of two CPU cores. Of such models long texts are asked instead.
LONGEST_CUT = 1024


class Sort(StrEnum):
    """PLAIN is asked as it is; LONG and CUT are repeated until they have their length; PROMPTED goes with a prompt."""

    PLAIN = "plain"
    LONG = "long"
    CUT = "cut"
    PROMPTED = "prompted"


@dataclass(frozen=True)
class SetText:
    """`name` is the case's name behind `reference.` or `holdout.`."""

    name: str
    text: str
    sort: Sort = Sort.PLAIN


@dataclass(frozen=True)
class AskedText:
    """One text as it is asked; `prompt` is the name of a prompt of the model, None: its default one applies."""

    name: str
    text: str
    prompt: str | None = None


_LONG_WORDS = 200

GOLDENS = (
    SetText("short-english", "A heron stood in the shallow water and waited for the fish to come closer."),
    SetText("short-chinese", "图书馆下午六点关门，请提前归还借阅的书籍。"),
    SetText("short-arabic", "وصل القطار متأخراً بسبب الثلوج على السكة."),
    SetText("short-german", "Die Bäckerei an der Ecke öffnet schon um fünf Uhr früh, außer sonntags."),
    SetText("code-and-numbers", 'for i in range(3):\n    print(f"{i:>4} {i ** 2}")  # 0, 1, 4 at 3.5e-2 per step'),
    SetText("nearly-empty-stop", "."),
    SetText("white-space", "\u00a0two  blanks,\ta tab,\r\n\r\na line end \u3000and a wide blank  "),
    SetText(
        "long",
        "The harbour was rebuilt after the storm of the previous winter, and the new piers reach much further into the "
        "bay than the old ones did.",
        Sort.LONG,
    ),
    SetText(
        "cut", "Each chapter of the manual describes one valve, its place in the hall and how it is closed.", Sort.CUT
    ),
    SetText("prompted-1", "how do migrating birds find their way at night", Sort.PROMPTED),
    SetText("prompted-2", "Copper conducts electricity better than iron, but it costs more.", Sort.PROMPTED),
    SetText("prompted-3", "symptoms of a worn wheel bearing", Sort.PROMPTED),
)

HOLDOUT = (
    SetText("short-english", "The committee will publish its decision on the new bridge before the end of May."),
    SetText("short-french", "Le marché couvert déménage l'été prochain, dès que la toiture sera réparée."),
    SetText("short-spanish", "¿Cuántos años tarda un olivo en dar sus primeras aceitunas?"),
    SetText("short-portuguese", "A previsão aponta chuva forte para o litoral durante a madrugada."),
    SetText("short-russian", "Музей закрыт по понедельникам и в праздничные дни."),
    SetText("short-greek", "Το πλοίο φεύγει από το λιμάνι τα μεσάνυχτα."),
    SetText("short-hebrew", "הגשם פסק לפני הצהריים והשמש יצאה."),
    SetText("short-hindi", "किसान सुबह से पहले खेत में पानी देता है।"),
    SetText("short-japanese", "昨日の会議の議事録は共有フォルダーにあります。"),
    SetText("short-korean", "분실물은 일층 안내소에서 찾으실 수 있습니다."),
    SetText("short-thai", "ร้านอาหารอยู่ตรงข้ามสถานีรถไฟ"),
    SetText("short-turkish", "İstanbul'dan gelen vapur yoğun sis yüzünden gecikti."),
    SetText("short-vietnamese", "Thư viện mở cửa đến tám giờ tối các ngày trong tuần."),
    SetText("code-and-names", "SELECT max(load_avg) FROM hosts WHERE zone = 'eu-3b' AND updatedAt > NOW() - 90;"),
    SetText("emoji", "🚀 launch day! 👨\u200d👩\u200d👧 watched it — 5\ufe0f\u20e3 stars ⭐⭐"),
    SetText("numbers", "1,204,553.75 kWh at 0.31 € on 2019-04-30, +49 (0)30 5550199, ½ × 10⁻³"),
    SetText("nearly-empty-blank", " a"),
    SetText("nearly-empty-mark", "?"),
    SetText("white-space", "\n\n  indented\u2003by an em blank,\u200bwith a zero width one \t \n"),
    SetText(
        "long",
        "Every spring the river carries gravel from the mountains to the plain, where it fills the channels that the "
        "farmers dug in autumn.",
        Sort.LONG,
    ),
    SetText(
        "cut",
        "The inventory lists a lamp, two chairs, a table with a cracked leg and a carpet of unknown age.",
        Sort.CUT,
    ),
    SetText("cut-in-two-scripts", "Поезд number seven leaves в полдень from the second platform.", Sort.CUT),
    SetText("prompted-1", "which materials float on salt water", Sort.PROMPTED),
    SetText(
        "prompted-2", "The warranty covers the battery for eight years or a hundred thousand miles.", Sort.PROMPTED
    ),
    SetText("prompted-3", "best soil for tomatoes in a cold climate", Sort.PROMPTED),
    SetText("prompted-4", "A quorum of two thirds is needed to change the statutes.", Sort.PROMPTED),
    SetText("prompted-5", "why does bread get hard in the fridge", Sort.PROMPTED),
    SetText("prompted-6", "Der Vertrag verlängert sich um ein Jahr, wenn niemand kündigt.", Sort.PROMPTED),
)


# Of both halves, asked of a further output of a model as well: few, since each costs what it costs a first time.
_FEW = frozenset({"short-english", "short-chinese", "short-french", "short-japanese", "numbers", "long", "prompted-1"})


def choose_few(texts: Sequence[AskedText], *, output: str) -> list[AskedText]:
    """4 of the goldens' texts or 6 of the holdout's, under names that hold `output`: "reference.OUTPUT-NAME"."""
    parts = [(text, text.name.partition(".")) for text in texts]
    return [replace(text, name=f"{kind}.{output}-{name}") for text, (kind, _, name) in parts if name in _FEW]


def choose_texts(*, max_input_tokens: int, prompts: Sequence[str] = ()) -> tuple[list[AskedText], list[AskedText]]:
    """The goldens' texts and the holdout's. `prompts` are the names of the model's prompts.

    They are dealt out one after the other over both halves, so that of up to nine each is asked; where there are fewer
    they begin anew.
    """
    names = _deal(prompts)
    return (
        [_write(text, max_input_tokens=max_input_tokens, prompts=names, kind="reference") for text in GOLDENS],
        [_write(text, max_input_tokens=max_input_tokens, prompts=names, kind="holdout") for text in HOLDOUT],
    )


def _deal(prompts: Sequence[str]) -> Iterator[str | None]:
    while True:
        yield from prompts or (None,)


def _write(text: SetText, *, max_input_tokens: int, prompts: Iterator[str | None], kind: str) -> AskedText:
    return AskedText(
        name=f"{kind}.{text.name}",
        text=_lengthen(text, max_input_tokens=max_input_tokens),
        prompt=next(prompts) if text.sort is Sort.PROMPTED else None,
    )


def _lengthen(text: SetText, *, max_input_tokens: int) -> str:
    """A word is at least one token: as many words as tokens, and some more, are cut by every tokenizer."""
    match text.sort:
        case Sort.CUT if max_input_tokens <= LONGEST_CUT:
            return repeat(text.text, words=max_input_tokens + max_input_tokens // 4 + 8)
        case Sort.LONG | Sort.CUT:
            return repeat(text.text, words=_LONG_WORDS)
        case _:
            return text.text


def repeat(text: str, *, words: int) -> str:
    """The text again and again, numbered, until there are so many words: no two parts of it are the same."""
    written: list[str] = []
    number = 0
    while len(written) < words:
        number += 1
        written += [f"{number}.", *text.split()]
    return " ".join(written)
