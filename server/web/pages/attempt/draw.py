"""From memory to the views of `/try`: who can be asked now, what was typed, and its code.

Asks nobody: what is served and configured is in memory.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

from fastapi import Request

from server.base.errors import SparkError
from server.gateway.demand.gather import policy_of
from server.web.api.views import waiting
from server.web.pages.attempt import ask as form
from server.web.pages.attempt.address import base
from server.web.pages.attempt.answer import Failure, Likeness, Said, Transcript
from server.web.pages.attempt.ask import SOUNDS, Ask, Turn
from server.web.pages.attempt.choice import (
    LLM,
    Group,
    Now,
    Option,
    groups,
    models,
    now,
    services,
)
from server.web.pages.attempt.quoted import json_line
from server.web.pages.attempt.snippet import Code, code
from server.web.pages.attempt.view import ChatPage, ComparePage, HearPage, SpeakPage, Voices
from server.web.pages.form import FormView, fresh, refused
from server.web.pages.frame import Frame
from server.web.pages.site import Site, draw_frame
from server.web.parts import Parts

Given = Mapping[str, str]
READERS: Mapping[str, Callable[[Given], Ask]] = MappingProxyType(
    {
        "chat": partial(form.chat, complete=False),
        "transcribe": form.hear,
        "speak": partial(form.speak, complete=False),
        "compare": partial(form.compare, complete=False),
    }
)
"""How the code beside a form reads it."""


@dataclass(frozen=True, slots=True)
class Desk:
    """One request for one of these pages."""

    parts: Parts
    site: Site
    request: Request

    @property
    def address(self) -> str:
        return base(self.request.headers, self.request.url.scheme)

    def frame(self, title: str) -> Frame:
        return draw_frame(self.parts, self.site, title, nav="try")

    def code(self, kind: str, given: Given) -> Code:
        try:
            return code(kind, READERS[kind](given), self.address)
        except SparkError as error:
            return Code(kind, wrong=tuple(error.message.split("; ")))

    def chat(
        self,
        given: Given,
        *,
        error: SparkError | None = None,
        failure: Failure | None = None,
        turns: tuple[Turn, ...] = (),
        said: Said | None = None,
    ) -> ChatPage:
        kept = [{"role": turn.role, "content": turn.content} for turn in turns]
        chosen = dict(given) | {"history": json.dumps(kept)}
        found = groups(*self.models(), Group("Services", LLM, self.services(LLM)))
        _choose(chosen, found)
        return ChatPage(
            frame=self.frame("Chat"),
            form=_form(chosen, error),
            groups=found,
            code=self.code("chat", chosen),
            failure=failure,
            now=draw_now(self.parts),
            turns=turns,
            history=json_line(kept),
            said=said,
        )

    def hear(
        self, given: Given, *, failure: Failure | None = None, transcript: Transcript | None = None
    ) -> HearPage:
        chosen = dict(given)
        found = groups(
            Group("Transcription", "asr", self.services("asr")),
            Group("Who spoke when", "diarize", self.services("diarize")),
            Group("Served models (if they hear)", LLM, self.served()),
        )
        _choose(chosen, found)
        return HearPage(
            frame=self.frame("Transcribe"),
            form=_form(chosen, None),
            groups=found,
            code=self.code("transcribe", chosen),
            failure=failure,
            most=self.parts.settings.current.gateway.max_upload_mb,
            long=self.parts.settings.current.audio.long_seconds,
            transcript=transcript,
        )

    def speak(
        self,
        given: Given,
        *,
        error: SparkError | None = None,
        failure: Failure | None = None,
        voices: Voices | None = None,
    ) -> SpeakPage:
        chosen = dict(given)
        found = groups(Group("Speech", "tts", self.services("tts")))
        _choose(chosen, found)
        view = _form(chosen, error)
        return SpeakPage(
            frame=self.frame("Speak"),
            form=view,
            groups=found,
            code=self.code("speak", chosen),
            failure=failure,
            voices=voices or Voices(None, chosen.get("voice", ""), None, view.error("voice")),
            sounds=SOUNDS,
        )

    def compare(
        self,
        given: Given,
        *,
        error: SparkError | None = None,
        failure: Failure | None = None,
        likeness: Likeness | None = None,
        took: str = "",
    ) -> ComparePage:
        chosen = dict(given)
        found = groups(
            Group("Embeddings", "embeddings", self.services("embeddings")),
            Group("Served models (if they embed)", LLM, self.served()),
        )
        _choose(chosen, found)
        return ComparePage(
            frame=self.frame("Compare"),
            form=_form(chosen, error),
            groups=found,
            code=self.code("compare", chosen),
            failure=failure,
            likeness=likeness,
            took=took,
        )

    # ---- who can be asked

    def models(self) -> tuple[Group, ...]:
        catalog, settings = self.parts.catalog.snapshot(), self.parts.settings.current
        return models(
            catalog,
            self.parts.swaps.layout(),
            waiting(self.parts),
            lambda model: policy_of(model, catalog, settings),
        )

    def served(self) -> tuple[Option, ...]:
        """Only what is loaded: asking one that may not hear or embed must not cost a swap."""
        loaded = {one.model for one in self.parts.swaps.layout()}
        every = (option for group in self.models() for option in group.options)
        return tuple(option for option in every if option.model in loaded)

    def services(self, kind: str) -> tuple[Option, ...]:
        verdicts = {one.name: one.verdict for one in self.parts.fleet.services()}
        return services(kind, self.parts.settings.current.services, verdicts)


def draw_now(parts: Parts) -> Now:
    return now(parts.swaps.layout(), waiting(parts))


def _choose(given: dict[str, str], found: tuple[Group, ...]) -> None:
    """Who is asked unless the person says otherwise: the first, which is what is served."""
    if not given.get("model") and found:
        given["model"] = found[0].options[0].value


def _form(given: Given, error: SparkError | None) -> FormView:
    return fresh(given) if error is None else refused(given, error)
