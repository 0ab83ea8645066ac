"""From a model's files to what computes its task: families, weights, pooling, heads. Torch is here and in backends."""
