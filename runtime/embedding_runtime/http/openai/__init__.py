"""The dialect of OpenAI's API: what a model for embeddings has of it."""
