"""The names of activation functions that transformers knows (activations.ACT2CLS) and these families use."""

ACTIVATIONS = frozenset(
    {
        "gelu",
        "gelu_10",
        "gelu_accurate",
        "gelu_fast",
        "gelu_new",
        "gelu_python",
        "gelu_pytorch_tanh",
        "mish",
        "quick_gelu",
        "relu",
        "relu2",
        "silu",
        "swish",
        "tanh",
    }
)
