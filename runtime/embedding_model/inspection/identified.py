"""What config.json and the tensors say together: the family, and the heads that the weights really hold."""

from collections.abc import Mapping
from dataclasses import dataclass

from embedding_model.inspection.families.heads import Head
from embedding_model.inspection.tensors import Tensor

__all__ = ["Head", "Identified"]


@dataclass(frozen=True, kw_only=True)
class Identified:
    """Every tensor of the body, and of each head in `heads`, is there with the shape that config.json says; no other.

    family            name of the entry in `families`, such as "xlm-roberta"
    is_decoder        whether it is a decoder: a language model, unless something says more
    architectures     class of transformers for each head that the family can have; None is the body alone
    heads             heads whose tensors are all there. A language-model head that is tied to the embeddings counts
                      where the other tensors are named as the class with the head saves them
    missing_heads     heads that score, that config.json names and the weights lack: loaded as such, they would be newly
                      initialised and their scores random
    label_count       rows of the classification head's last tensor, for either kind of classification
    hidden_size       width of a token vector
    vocabulary_size   rows of the word embeddings
    positions         tokens that can be numbered at most, special ones included
    position_note     where that number comes from, in words
    word_tensor       the word embeddings; with `position_tensor` and `head_tensor` what evidence points at
    overruled         readings of config.json that lost, such as a class in `architectures` that the tensors contradict
    avoid_dtypes      dtypes that give wrong numbers for this family, such as float16 for Gemma 3
    """

    family: str
    is_decoder: bool
    architectures: Mapping[Head | None, str]
    heads: frozenset[Head]
    missing_heads: frozenset[Head] = frozenset()
    label_count: int | None
    hidden_size: int
    vocabulary_size: int
    positions: int
    position_note: str
    word_tensor: Tensor
    position_tensor: Tensor | None
    head_tensor: Tensor | None
    overruled: tuple[str, ...] = ()
    avoid_dtypes: tuple[str, ...] = ()
