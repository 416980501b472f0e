"""A form as it is sent on: what stands before the file and behind it, and how long it is. Pure.

Owns the quoting of names. Refuses to hold the file: it goes between the two while it is read.
"""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Form:
    """`head` + the file + `tail` is the body."""

    content_type: str
    head: bytes
    tail: bytes

    def length(self, file: int) -> int:
        """Of the whole body, with a file of so many bytes."""
        return len(self.head) + file + len(self.tail)


def form(
    fields: Iterable[tuple[str, str]], boundary: str, *, filename: str, media_type: str
) -> Form:
    """Fields first: whoever reads a form from its start knows what is asked before the file comes.

    `boundary` is random and occurs nowhere in the fields; that it does not in a file of sound is a
    matter of its length.
    """
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{_quoted(name)}"\r\n\r\n'.encode()
        + value.encode()
        + b"\r\n"
        for name, value in fields
    ]
    parts.append(
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; '
        f'filename="{_quoted(filename)}"\r\nContent-Type: {media_type}\r\n\r\n'.encode()
    )
    tail = f"\r\n--{boundary}--\r\n".encode()
    return Form(f"multipart/form-data; boundary={boundary}", b"".join(parts), tail)


def _quoted(name: str) -> str:
    """As browsers write it: what would end the name or the line is percent-encoded."""
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
