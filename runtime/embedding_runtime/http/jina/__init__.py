"""The dialect of Jina's API: embeddings and rerank."""
