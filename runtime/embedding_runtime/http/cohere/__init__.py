"""The dialect of Cohere's API, versions 1 and 2: embed and rerank."""
