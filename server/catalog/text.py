"""Which texts the catalog takes: ids, aliases, repositories, revisions, names. Refuses look-alikes.

Every rule answers a sentence for people, or None when the text is fine. A character that only
looks like an ASCII one (fullwidth dash, zero-width space, right-to-left mark) is named by its
code point, because nobody can see what is wrong with it.
"""

import re
import unicodedata

ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
ALIAS = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}")
REPO_PART = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_])?")
REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,127}")

_ORDINARY = re.compile(r"[A-Za-z0-9_.:/\[\]-]{1,80}")
_UNSEEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def words(text: str) -> frozenset[str]:
    """A set of words, written as one line."""
    return frozenset(text.split())


def shown(text: str, limit: int = 60) -> str:
    """The text as ASCII that cannot lie on a screen, shortened."""
    safe = ascii(text)
    return safe if len(safe) <= limit else safe[: limit - 1] + "…"


def plain(text: str) -> str:
    """A name as it is when it is an ordinary one, else so that it cannot lie on a screen."""
    return text if _ORDINARY.fullmatch(text) else shown(text)


def character(char: str) -> str:
    """`U+FF0D FULLWIDTH HYPHEN-MINUS`."""
    return f"U+{ord(char):04X} {unicodedata.name(char, 'unnamed character')}"


def unseen(text: str) -> str | None:
    """Control, format and unassigned characters: never wanted, not even in a name for people."""
    for char in text:
        if unicodedata.category(char) in _UNSEEN:
            return f"contains {character(char)}, which cannot be seen"
    return None


def not_ascii(text: str) -> str | None:
    """For what ends on a command line: only characters a keyboard shows as themselves."""
    hidden = unseen(text)
    if hidden:
        return hidden
    for char in text:
        if ord(char) > 126:
            twin = unicodedata.normalize("NFKC", char)
            twin = "-" if unicodedata.category(char) == "Pd" else twin
            hint = f", which only looks like {twin!r}" if twin != char and twin.isascii() else ""
            return f"contains {character(char)}{hint}; only ASCII is taken here"
    return None


def bad_id(text: str) -> str | None:
    return not_ascii(text) or (
        None
        if ID.fullmatch(text) and ".." not in text
        else "must be 1 to 64 letters, digits and . _ - , starting with a letter or digit"
    )


def bad_alias(text: str) -> str | None:
    problem = not_ascii(text)
    if problem:
        return problem
    if not ALIAS.fullmatch(text) or ".." in text or "//" in text or text.endswith("/"):
        return "must be 1 to 128 letters, digits and . _ : / - , starting with a letter or digit"
    return None


def bad_repo(text: str) -> str | None:
    """`org/name` by the rules of the Hugging Face Hub."""
    problem = not_ascii(text)
    if problem:
        return problem
    if "://" in text:
        return "must be 'org/name', not an address: leave out everything up to the organisation"
    parts = text.split("/")
    if len(parts) != 2 or not all(REPO_PART.fullmatch(part) for part in parts):
        return "must be a Hugging Face repository 'org/name' (letters, digits, . _ -)"
    if "--" in text or ".." in text or text.endswith(".git") or len(text) > 96:
        return "is not a name the Hugging Face Hub allows (no '--', '..' or '.git', 96 at most)"
    return None


def bad_revision(text: str) -> str | None:
    problem = not_ascii(text)
    if problem:
        return problem
    if not REVISION.fullmatch(text) or ".." in text or "//" in text or text.endswith("/"):
        return "must be a branch, tag or commit (letters, digits, . _ / -)"
    return None


def bad_title(text: str, limit: int) -> str | None:
    """Names and descriptions for people: any script, one line."""
    if not text.strip():
        return "must not be empty"
    if len(text) > limit:
        return f"is {len(text)} characters long; {limit} at most"
    return unseen(text)
