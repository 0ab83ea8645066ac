"""The dialect of text-embeddings-inference (TEI): one module for each of its routes."""
