"""Fields of bodies that mean the same in several dialects, with what the API's description says of them."""

from typing import Annotated

from pydantic import Field

from embedding_runtime.core.prompts import InputType
from embedding_runtime.http.validation import Count, Flag

ModelName = Annotated[str, Field(description="One of the served names; a name may apply a prompt.")]
OptionalModelName = Annotated[str | None, Field(description="One of the served names; absent: the first of them.")]

Dimensions = Annotated[
    Count | None, Field(description="So many of the vector's first values, normalised again; absent: as served.")
]
Normalize = Annotated[
    Flag | None, Field(description="False: the pooled vector as it is. Absent: as served. Not of the vendor's API.")
]

# Which prompt is put before each input.
PromptName = Annotated[str | None, Field(description="One of the model's prompts.")]
PromptRole = Annotated[
    InputType | None, Field(description="The model's prompt for queries or documents. Not of the vendor's API.")
]
PromptText = Annotated[
    str | None, Field(description="The whole text to put before each input. Not of the vendor's API.")
]
PromptInstruction = Annotated[
    str | None, Field(description="The task in the model's query prompt. Not of the vendor's API.")
]

Query = Annotated[str, Field(description="What the texts or documents are scored for.")]
TopN = Annotated[Count | None, Field(description="So many of the best are answered; absent: all.")]
ReturnDocuments = Annotated[Flag, Field(description="Whether the answer repeats each document, as an object.")]
RerankInstruction = Annotated[
    str | None,
    Field(
        description="Takes the place of the served instruction, for language models that rerank. Not of the vendor's "
        "API."
    ),
]
