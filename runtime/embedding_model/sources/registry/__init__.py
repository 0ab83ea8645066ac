"""Models in OCI images: data that is pulled by digest from registries that the administrator named, never executed.

parse_reference    REGISTRY/REPOSITORY@sha256:DIGEST
require_allowed    its Access among the administrator's registries
read_pull_secret   the user's credentials for it
pull_folder        a folder of the image on the disk, to inspect it
pull_entries       the files of a manifest in a Destination, to serve them
"""

from embedding_model.sources.registry.credentials import SECRET_LIMIT, Credentials, read_pull_secret
from embedding_model.sources.registry.pull import pull_entries, pull_folder
from embedding_model.sources.registry.reference import Reference, parse_reference, require_allowed

__all__ = [
    "SECRET_LIMIT",
    "Credentials",
    "Reference",
    "parse_reference",
    "pull_entries",
    "pull_folder",
    "read_pull_secret",
    "require_allowed",
]
