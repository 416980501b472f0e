"""Why a question is not answered, as it travels to whoever asked. Pure.

Owns the words for a recording that cannot be used. They name what is wrong and what to do, and
repeat nothing that the recording says of itself.
"""

from typing import Literal

Kind = Literal["value", "type", "large", "disk"]

FORMATS = "wav, mp3, m4a, mp4, webm, ogg, opus, flac, aac, aiff, caf or amr"


class Refused(Exception):
    """`number` is that of the system's error when it is the disk's."""

    def __init__(
        self, kind: Kind, message: str, advice: str | None = None, number: int = 0
    ) -> None:
        super().__init__(message)
        self.kind: Kind = kind
        self.message = message
        self.advice = advice
        self.number = number

    def to_dict(self) -> dict[str, str | int | None]:
        return {
            "kind": self.kind,
            "message": self.message,
            "advice": self.advice,
            "number": self.number,
        }


def empty() -> Refused:
    return Refused("value", "The recording is empty: the file has no bytes.")


def other(what: str) -> Refused:
    return Refused("type", f"The file is {what} and no recording.", f"Send one {FORMATS} file.")


def unknown() -> Refused:
    return Refused(
        "type",
        "The file is no recording of a kind that is known here, or its beginning is damaged.",
        f"Send a {FORMATS} file.",
    )


def soundless() -> Refused:
    return Refused("value", "The file holds no sound.", "Send a file with an audio track.")


def uncommon() -> Refused:
    return Refused(
        "type",
        "The sound in the file is coded in a way that cannot be read here.",
        f"Convert it to a common one, such as a {FORMATS} file.",
    )


def damaged() -> Refused:
    return Refused(
        "value",
        "The recording is damaged: no sound can be read from it.",
        "Record or export it again.",
    )


def cut_off(told: float, found: float) -> Refused:
    return Refused(
        "value",
        f"The recording is cut off: its header tells of {told:.0f} s, and {found:.1f} s are there.",
        "Send the whole file.",
    )


def too_long(seconds: float) -> Refused:
    return Refused("large", f"The recording is longer than the {seconds:g} s that are taken of it.")


def disk(number: int) -> Refused:
    return Refused("disk", "The sound could not be written.", number=number)
