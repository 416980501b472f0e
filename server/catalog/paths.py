"""Where a local-path model may live, decided without looking at any disk.

Owns the textual rules: absolute, normalised, under an allowed root, no character that a mount
option or a word-splitting launcher could read twice. What the path *resolves to* is checked on the
host by `inspect`.
"""

import unicodedata
from collections.abc import Sequence
from posixpath import normpath

from server.catalog.text import character, shown, unseen

_PUNCTUATION = frozenset("/ ._+@=%~-")
MAX_PATH = 1024


def bad_path(path: str) -> str | None:
    """A sentence, or None when the path is well formed (whatever the roots are)."""
    if not path.startswith("/"):
        return "must be an absolute path on the hosts, starting with '/'"
    if len(path) > MAX_PATH:
        return f"is {len(path)} characters long; {MAX_PATH} at most"
    problem = unseen(path)
    if problem:
        return problem
    if ".." in path.split("/"):
        return "must not contain '..'"
    if path.startswith("//") or normpath(path) != path:
        return f"must be normalised: write {shown(normpath(path).replace('//', '/'), 200)}"
    return _bad_characters(path)


def _bad_characters(path: str) -> str | None:
    for char in path:
        if not (char.isalnum() or char in _PUNCTUATION):
            return (
                f"contains {character(char)}; only letters, digits, spaces and . _ + @ = % ~ - are "
                "taken in a model path, so rename the directory"
            )
    if unicodedata.normalize("NFKC", path) != path:
        char = next(c for c in path if unicodedata.normalize("NFKC", c) != c)
        return f"contains {character(char)}, which only looks like an ordinary letter"
    if any(part != part.strip() for part in path.split("/")):
        return "has a name in it that begins or ends with a space; rename the directory"
    return None


def under(path: str, root: str) -> bool:
    """Strictly below: a root itself is not a model."""
    return path.startswith("/") and path.startswith(root.rstrip("/") + "/") and path != root


def check_local_path(path: str, roots: Sequence[str]) -> str | None:
    """A sentence, or None when the path is well formed and below one of `engine.model_roots`."""
    problem = bad_path(path)
    if problem:
        return problem
    if not roots:
        return "is refused because engine.model_roots is empty: add the directory that holds models"
    if not any(under(path, root) for root in roots):
        return f"must lie under one of engine.model_roots ({', '.join(roots)})"
    return None
