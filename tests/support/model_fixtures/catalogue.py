"""Every fixture, by its id."""

from collections.abc import Mapping

from model_fixtures.decoders import DECODERS
from model_fixtures.encoders import ENCODERS
from model_fixtures.fixture import ModelFixture
from model_fixtures.jina import JINA
from model_fixtures.layouts import LAYOUTS
from model_fixtures.multilingual import MULTILINGUAL
from model_fixtures.other_formats import OTHER_FORMATS
from model_fixtures.other_kinds import OTHER_KINDS
from model_fixtures.remote_code import REMOTE_CODE
from model_fixtures.rerankers import RERANKERS
from model_fixtures.sparse import SPARSE

_ALL = (
    *ENCODERS,
    *MULTILINGUAL,
    *LAYOUTS,
    *DECODERS,
    *RERANKERS,
    *SPARSE,
    *JINA,
    *REMOTE_CODE,
    *OTHER_KINDS,
    *OTHER_FORMATS,
)
CATALOGUE: Mapping[str, ModelFixture] = {fixture.id: fixture for fixture in _ALL}
if len(CATALOGUE) != len(_ALL):
    raise ValueError("two fixtures have the same id")
