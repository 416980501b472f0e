"""What the pages under `/try` show, each a frozen view of one form, its answer and its code. Pure.

None of them is kept after it was drawn (`kept`): what a person said stays in that person's page.
"""

from dataclasses import dataclass
from typing import ClassVar

from server.web.pages.attempt.answer import Failure, Likeness, Said, Transcript
from server.web.pages.attempt.ask import LONGEST_SPOKEN, LONGEST_TEXT, Turn
from server.web.pages.attempt.choice import Group, Now
from server.web.pages.attempt.snippet import Code
from server.web.pages.form import FormView
from server.web.pages.frame import Page

TABS = (
    ("/try", "Chat"),
    ("/try/transcribe", "Transcribe"),
    ("/try/speak", "Speak"),
    ("/try/compare", "Compare"),
)


@dataclass(frozen=True, slots=True)
class TryPage(Page):
    """What they have in common. `groups` are who can be asked: none, and the page says how to
    change that."""

    kept: ClassVar[bool] = False
    here: ClassVar[str] = ""

    form: FormView
    groups: tuple[Group, ...]
    code: Code
    failure: Failure | None

    @property
    def links(self) -> tuple[tuple[str, str], ...]:
        return TABS

    @property
    def longest(self) -> int:
        return LONGEST_TEXT

    def has(self, kind: str) -> bool:
        return any(group.kind == kind for group in self.groups)


@dataclass(frozen=True, slots=True)
class ChatPage(TryPage):
    """`history` is the conversation as the form carries it; `said` the last answer."""

    template: ClassVar[str] = "try/chat.html"
    here: ClassVar[str] = "/try"

    now: Now
    turns: tuple[Turn, ...]
    history: str
    said: Said | None


@dataclass(frozen=True, slots=True)
class HearPage(TryPage):
    """`most` is the largest file in MiB, `long` from how many seconds on one is heard in parts."""

    template: ClassVar[str] = "try/transcribe.html"
    here: ClassVar[str] = "/try/transcribe"

    most: int
    long: float
    transcript: Transcript | None


@dataclass(frozen=True, slots=True)
class Voices:
    """`names` None while nobody has asked for them, or when that failed."""

    template: ClassVar[str] = "try/voices.html"

    names: tuple[str, ...] | None
    chosen: str
    failure: Failure | None
    error: str = ""


@dataclass(frozen=True, slots=True)
class SpeakPage(TryPage):
    template: ClassVar[str] = "try/speak.html"
    here: ClassVar[str] = "/try/speak"

    voices: Voices
    sounds: tuple[str, ...]

    @property
    def longest(self) -> int:
        return LONGEST_SPOKEN


@dataclass(frozen=True, slots=True)
class ComparePage(TryPage):
    """`took` is in words."""

    template: ClassVar[str] = "try/compare.html"
    here: ClassVar[str] = "/try/compare"

    likeness: Likeness | None
    took: str
