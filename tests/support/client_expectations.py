"""What clients of a server must get: texts in many scripts, and what the reference implementation makes of them."""

import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from models_under_test import reference_scores, reference_vectors, texts_of_many_lengths

# What the servers answer to: names of our own, and those that SDKs know of their vendors and refuse others than.
NAMES = {
    "model": "minilm",
    "openai": "text-embedding-3-small",
    "cohere": "embed-english-v3.0",
    "reranker": "reranker",
    "cohere_reranker": "rerank-v3.5",
}
EMBEDDER_NAMES = (NAMES["model"], NAMES["openai"], NAMES["cohere"])
RERANKER_NAMES = (NAMES["reranker"], NAMES["cohere_reranker"])

SCRIPTS = (
    "向量搜索按意思而不是按字词找到文档。",
    "ベクトル検索は言葉ではなく意味で文書を見つける。",
    "벡터 검색은 단어가 아니라 의미로 문서를 찾는다.",
    "يجد البحث المتجهي الوثائق بمعناها لا بكلماتها.",
    "חיפוש וקטורי מוצא מסמכים לפי משמעות ולא לפי מילים.",
    "सदिश खोज शब्दों से नहीं, अर्थ से दस्तावेज़ ढूँढती है।",
    "การค้นหาแบบเวกเตอร์หาเอกสารตามความหมาย",
    "Η διανυσματική αναζήτηση βρίσκει έγγραφα με βάση το νόημα.",
    "Векторный поиск находит документы по смыслу, а не по словам.",
    "Tìm kiếm véc-tơ tìm tài liệu theo nghĩa, không theo từ.",
    "ვექტორული ძებნა დოკუმენტებს აზრით პოულობს.",
    "🌍🔎 emoji, a family 👨‍👩‍👧‍👦 and a flag 🇪🇺",
    "e\u0301 as two characters and é as one",
)
COUNT = 1500
LONGEST = 8  # words; what is long is tested elsewhere, and every client embeds all of these

QUERY = "How do I parse a date from a string?"
DOCUMENTS = (
    "The garden is full of flowers in the summer.",
    "Use the datetime class to parse a date and time from a string.",
    "Sockets connect programs on different machines.",
    "A calendar shows the days of a month.",
    "日付の文字列を解析する方法。",
    "Strings can be split into words at spaces.",
    "Как разобрать дату из строки?",
    "The parser reads the arguments of the command line.",
)


def all_texts() -> Sequence[str]:
    """COUNT texts, no two alike, so that none can stand for another."""
    made = texts_of_many_lengths(COUNT - len(SCRIPTS), longest=LONGEST)
    return [*SCRIPTS, *(f"{text} {number}" for number, text in enumerate(made))]


def client_expectations(*, embedder: Path, reranker: Path) -> Mapping[str, Any]:
    """As tests/clients/python/support/service.py reads them."""
    texts = all_texts()
    vectors = reference_vectors(embedder, texts=texts)
    return {
        "names": NAMES,
        "scripts": len(SCRIPTS),
        "texts": texts,
        "vectors": base64.b64encode(vectors.astype("<f4").tobytes()).decode(),
        "query": QUERY,
        "documents": DOCUMENTS,
        "scores": reference_scores(reranker, query=QUERY, documents=DOCUMENTS),
    }


def write_expectations(path: Path, *, embedder: Path, reranker: Path) -> Path:
    path.write_text(json.dumps(client_expectations(embedder=embedder, reranker=reranker)))
    return path
