"""What rerankers are asked: queries, each with documents from the one that answers it to ones that have nothing to do
with it, the same for every model.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from embedding_runtime.reference.texts import LONGEST_CUT, repeat


@dataclass(frozen=True)
class RerankTexts:
    """`documents`: the one that answers `query`, one that is long, and others. `name` as in texts.SetText."""

    name: str
    query: str
    documents: Sequence[str]


LONG = 1  # number of the document that is made long
_LONG_WORDS = 120

GOLDENS = (
    RerankTexts(
        "english",
        "how long do eggs boil",
        (
            "Soft eggs boil for five minutes, hard ones for ten.",
            "The history of the egg trade begins with the first markets of the old town.",
            "Boil the water before you put the noodles in.",
            "The train to the coast leaves at noon.",
            "Eggs are sold by the dozen.",
        ),
    ),
    RerankTexts(
        "german",
        "Wann schließt das Schwimmbad?",
        (
            "Das Schwimmbad schließt im Sommer um 21 Uhr, im Winter um 19 Uhr.",
            "Im Schwimmbad gilt die Badeordnung, die an jedem Eingang aushängt.",
            "Die Bibliothek schließt um 18 Uhr.",
            "Schwimmen hält gesund.",
            "Ein Brot kostet drei Euro.",
        ),
    ),
    RerankTexts(
        "code",
        "remove duplicates from a list in Python",
        (
            "list(dict.fromkeys(items)) keeps the first of each and the order.",
            "Lists in Python are arrays of references, and appending to them is cheap on average.",
            "In SQL, SELECT DISTINCT leaves duplicates out.",
            "del items[0]  # 1 element less",
            "The python is a snake that is not venomous.",
        ),
    ),
)

HOLDOUT = (
    RerankTexts(
        "english",
        "causes of a flat bicycle tyre",
        (
            "A tyre goes flat when glass or a thorn pierces the tube, or when the valve leaks.",
            "The bicycle shop on the square sells tyres, tubes, lamps and bells of many makers.",
            "Cars need winter tyres in the mountains.",
            "The orchestra plays on Friday.",
            "Bicycles have two wheels.",
        ),
    ),
    RerankTexts(
        "spanish",
        "¿Dónde se compran las entradas del museo?",
        (
            "Las entradas del museo se compran en la taquilla o en su página.",
            "El museo guarda cuadros, mapas y monedas que donaron las familias de la ciudad.",
            "La entrada del garaje está cerrada.",
            "Mañana lloverá en el norte.",
            "Los museos cierran los lunes.",
        ),
    ),
    RerankTexts(
        "chinese",
        "怎么给手机省电",
        (
            "降低屏幕亮度、关闭后台应用可以让手机省电。",
            "手机的历史可以分为几个阶段，每个阶段都有新的技术。",
            "电费每两个月交一次。",
            "公园里的花开了。",
            "手机不能带进考场。",
        ),
    ),
    RerankTexts(
        "russian",
        "как вывести пятно от чая",
        (
            "Пятно от чая выводят тёплой водой с уксусом или содой.",
            "Чай собирают весной и осенью, сушат и перевозят в больших деревянных ящиках.",
            "Кофе варят на песке.",
            "Поезд прибывает на второй путь.",
            "На скатерти пятно.",
        ),
    ),
    RerankTexts(
        "short",
        "salt",
        ("Salt is sodium chloride.", "Pepper and other spices stand beside it on the shelf.", "!", "a", "Sand is not."),
    ),
    RerankTexts(
        "numbers",
        "population of the island in 1990",
        (
            "In 1990 the island had 4,312 inhabitants.",
            "The island has been counted every ten years since the harbour was built.",
            "In 1990 the ferry carried 80,000 cars.",
            "3.14159 2.71828",
            "The island is 12 km long.",
        ),
    ),
    RerankTexts(
        "arabic",
        "كيف أحفظ الخبز طازجاً",
        (
            "يحفظ الخبز طازجاً في كيس من القماش أو في المجمد.",
            "تفتح المخابز أبوابها قبل الفجر وتبيع أنواعاً كثيرة من الخبز والكعك.",
            "الماء يغلي عند مئة درجة.",
            "السيارة في المرآب.",
            "الخبز على الطاولة.",
        ),
    ),
)


def choose_rerank_texts(*, max_input_tokens: int) -> tuple[list[RerankTexts], list[RerankTexts]]:
    """The goldens' and the holdout's: the long document of each is cut, unless the model reads very many tokens."""
    is_cut = max_input_tokens <= LONGEST_CUT
    words = max_input_tokens + max_input_tokens // 4 + 8 if is_cut else _LONG_WORDS
    return (
        [_lengthen(texts, kind="reference", words=words) for texts in GOLDENS],
        [_lengthen(texts, kind="holdout", words=words) for texts in HOLDOUT],
    )


def _lengthen(texts: RerankTexts, *, kind: str, words: int) -> RerankTexts:
    documents = [
        repeat(document, words=words) if number == LONG else document for number, document in enumerate(texts.documents)
    ]
    return RerankTexts(name=f"{kind}.{texts.name}", query=texts.query, documents=documents)
