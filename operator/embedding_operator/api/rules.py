"""Annotations that put a check into the CRD and, where it can run in Python, into the pydantic model as well.

Pattern   a regular expression with a message: a CEL rule at the API server, a validator in Python
Rule      a CEL rule with a message: the API server only
ListMap   `x-kubernetes-list-type: map`: items are unique by a key and merged by it in server-side apply
ListSet   `x-kubernetes-list-type: set`

A plain `pattern` in a schema answers with the expression alone; a CEL rule says what to write instead.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

VALIDATIONS = "x-kubernetes-validations"
LIST_TYPE = "x-kubernetes-list-type"
LIST_MAP_KEYS = "x-kubernetes-list-map-keys"
INT_OR_STRING = "x-kubernetes-int-or-string"


@dataclass(frozen=True)
class Rule:
    """A CEL rule over `self`; `message` says what to write instead."""

    cel: str
    message: str

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return _with_validation(handler(core), rule=self)

    def to_dict(self) -> dict[str, str]:
        return {"rule": self.cel, "message": self.message}


@dataclass(frozen=True)
class Pattern:
    """The whole string matches `expression`, which stays within what RE2 and Python's `re` share (no lookaround)."""

    expression: str
    message: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return _with_validation(handler(core), rule=Rule(f"self.matches(r'^({self.expression})$')", self.message))

    def _check(self, value: str) -> str:
        if re.fullmatch(self.expression, value) is None:
            raise ValueError(self.message)
        return value


@dataclass(frozen=True)
class ListMap:
    """Items are unique by `key`."""

    key: str = "name"

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(core), LIST_TYPE: "map", LIST_MAP_KEYS: [self.key]}


@dataclass(frozen=True)
class ListSet:
    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(core), LIST_TYPE: "set"}


def with_rules(*rules: Rule) -> ConfigDict:
    """`model_config` of a model with rules about several of its fields."""
    validations: list[Any] = [rule.to_dict() for rule in rules]
    return ConfigDict(json_schema_extra={VALIDATIONS: validations})


def _with_validation(schema: Mapping[str, Any], *, rule: Rule) -> dict[str, Any]:
    return {**schema, VALIDATIONS: [*schema.get(VALIDATIONS, ()), rule.to_dict()]}
