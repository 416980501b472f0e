"""What stands for a part of the settings as it was seen, and where a value in force comes from.

Pure. A mark is a digest of what the file says (not of its comments): equal marks, equal settings.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from server.config.environ import Overlay
from server.config.model import Where


@dataclass(frozen=True, slots=True)
class Origin:
    """`variable` names the variable when the environment decides."""

    source: Literal["environment", "file", "default"]
    variable: str | None = None


def index_of(items: Any, name: str) -> int | None:
    """Where the item called `name` stands in a list of groups."""
    return next((i for i, item in enumerate(items) if item.get("name") == name), None)


def mark_of(data: Mapping[str, Any], section: str, item: str | None = None) -> str:
    """Of a whole section, or of one item of a list; an absent one has a mark as well."""
    part = data.get(section)
    if item is not None:
        index = index_of(part or [], item)
        part = None if index is None else (part or [])[index]
    text = json.dumps(part or None, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def origin_of(where: Where, data: Mapping[str, Any], above: Overlay) -> Origin:
    variable = above.name(where)
    if variable is not None:
        return Origin("environment", variable)
    below: Any = data
    for part in where:
        if not isinstance(below, Mapping) or part not in below:
            return Origin("default")
        below = below[part]
    return Origin("file")
