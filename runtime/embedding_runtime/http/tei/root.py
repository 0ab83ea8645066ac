"""TEI's POST /: the model's own task, whichever it is. Clients of the Hugging Face API know no other path."""

from collections.abc import Mapping

from embedding_model.resolved import Task
from embedding_runtime.http.dialect import Call, Handler
from embedding_runtime.http.messages import Response
from embedding_runtime.http.tei.embed import EmbedRequest, create_embeddings
from embedding_runtime.http.tei.embed_sparse import create_sparse_embeddings
from embedding_runtime.http.tei.predict import PredictRequest, predict_labels
from embedding_runtime.http.tei.rerank import RerankRequest, rerank_texts
from embedding_runtime.http.tei.similarity import SimilarityRequest, compare_texts
from embedding_runtime.http.tei.texts import TextsRequest

_HANDLERS: Mapping[Task, Handler] = {
    Task.EMBEDDING: create_embeddings,
    Task.RERANKING: rerank_texts,
    Task.CLASSIFICATION: predict_labels,
    Task.SPARSE: create_sparse_embeddings,
}

# By task; an embedder also compares a sentence with others.
RootRequest = EmbedRequest | SimilarityRequest | RerankRequest | PredictRequest | TextsRequest


async def answer_task(call: Call) -> Response:
    task = call.loaded.model.serving.task
    if task is Task.EMBEDDING and isinstance(call.document.get("inputs"), dict):
        return await compare_texts(call)
    return await _HANDLERS[task](call)
