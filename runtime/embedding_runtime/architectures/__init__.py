"""Model classes, weights and pooling heads: torch lives here and in backends."""
