"""What a setting may hold: names, addresses, paths, each with what is wrong in a sentence. Pure.

Owns the patterns that the app, its pages and the StartOS package judge by, and what every group of
settings has in common.
"""

import re
from pathlib import PurePosixPath
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    ValidationInfo,
    field_validator,
)

HOST_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
ADDRESS = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.:-]{0,252}[A-Za-z0-9])?")
ALLOWED_HOST = re.compile(rf"{ADDRESS.pattern}|\*")
USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
CONTAINER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
IMAGE = re.compile(r"(?!.*(\.\.|//))[a-z0-9][A-Za-z0-9._:/@-]{0,254}")
LABEL = re.compile(r"[a-z0-9]([a-z0-9._-]{0,62})")
HEALTH_PATH = re.compile(r"/[A-Za-z0-9._~/?=&%-]{0,500}")
MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,199}")
INTERFACES = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9_.:@-]{0,31}(,[A-Za-z0-9][A-Za-z0-9_.:@-]{0,31}){0,7}"
)


def _matching(pattern: re.Pattern[str], what: str, use: str) -> AfterValidator:
    def check(value: str) -> str:
        if not pattern.fullmatch(value):
            raise ValueError(f"is not a valid {what}: use {use}")
        return value

    return AfterValidator(check)


def _absolute(value: str) -> str:
    path = PurePosixPath(value)
    if not value.startswith("/") or ".." in path.parts or str(path) != value:
        raise ValueError("must be an absolute, normalised path without '..' or a trailing slash")
    if not value.isprintable():
        raise ValueError("holds a character that cannot be seen")
    return value


def _web_address(value: str) -> str:
    """It becomes an `href`: no `javascript:`, no password in it, nothing that cannot be seen."""
    use = "use an address like http://spark-2:3000/path"
    if not value.isascii() or not value.isprintable() or set(value) & set(" \"'<>`\\"):
        raise ValueError(f"holds a character that an address cannot have: {use}")
    try:
        parts = urlsplit(value)
        sound = parts.scheme in {"http", "https"} and bool(parts.hostname)
        named = parts.username is not None or parts.password is not None
        _ = parts.port
    except ValueError:
        sound = named = False
    if not sound:
        raise ValueError(f"is not a web address: {use}")
    if named:
        raise ValueError(f"holds a user or password, which everybody would see: {use}")
    return value


def _visible(value: str) -> str:
    if not value.isprintable():
        raise ValueError("holds a character that cannot be seen")
    return value


HostName = Annotated[
    str, _matching(HOST_NAME, "name", "lower-case letters, digits and inner hyphens, at most 63")
]
Address = Annotated[
    str, _matching(ADDRESS, "host name or IP address", "a DNS name or an address, no user or port")
]
UserName = Annotated[
    str, _matching(USER, "user name", "lower-case letters, digits, '_' and '-', at most 32")
]
ContainerName = Annotated[
    str, _matching(CONTAINER, "container name", "letters, digits, '_', '.' and '-', at most 128")
]
ImageRef = Annotated[
    str, _matching(IMAGE, "image reference", "a form like registry/name:tag or name@sha256:digest")
]
Label = Annotated[
    str, _matching(LABEL, "label", "lower-case letters, digits, '.', '_' and '-', at most 63")
]
Interfaces = Annotated[
    str, _matching(INTERFACES, "interface list", "interface names separated by commas")
]
AllowedHost = Annotated[str, _matching(ALLOWED_HOST, "DNS name", "a name like spark.example, or *")]
HealthPath = Annotated[str, _matching(HEALTH_PATH, "path", "an absolute path like /health")]
ModelName = Annotated[
    str, _matching(MODEL_NAME, "model name", "letters, digits and . _ : / @ + -, at most 200")
]
Port = Annotated[int, Field(ge=1, le=65535)]
WebAddress = Annotated[str, Field(max_length=500), AfterValidator(_web_address)]
LinkName = Annotated[str, Field(min_length=1, max_length=60), AfterValidator(_visible)]
RemotePath = Annotated[str, AfterValidator(_absolute)]


AT_START: dict[str, JsonValue] = {"restart": True}
"""Marks a setting that is read once, at the start. All others take effect when they are saved."""


class Section(BaseModel):
    """Base of every group of settings: immutable, and an unknown key is a mistake."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)

    @field_validator("*", mode="before")
    @classmethod
    def _no_switch_for_a_number(cls, value: Any, info: ValidationInfo) -> Any:
        """YAML reads `yes` as a switch, and Python takes a switch for the number 1: refuse it."""
        if isinstance(value, bool) and info.field_name is not None:
            annotation = cls.model_fields[info.field_name].annotation
            if annotation is not bool:
                raise ValueError("is a yes/no value: write what is meant, in quotes if it is text")
        return value
