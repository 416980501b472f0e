"""Which step of the first run is next. Pure: facts in, a step out.

    no host yet                              -> HOST       (KEY stands beside it)
    its host key is another one than before  -> HOST_KEY
    it does not answer, or docker or the
    like is not usable there                 -> DOCTOR
    no model could be started, or nothing
    was found on the hosts                   -> ENGINE
    nothing is served                        -> MODEL
    a model is served                        -> DONE

A fact that is not known yet counts as not so: the page says what it waits for. A step may be looked
at before its turn; that decides nothing.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


class Step(StrEnum):
    KEY = "key"
    HOST = "host"
    HOST_KEY = "host-key"
    DOCTOR = "doctor"
    ENGINE = "engine"
    MODEL = "model"
    DONE = "done"


ORDER = (Step.KEY, Step.HOST, Step.HOST_KEY, Step.DOCTOR, Step.ENGINE, Step.MODEL)
State = Literal["done", "now", "later"]


@dataclass(frozen=True, slots=True)
class Facts:
    """Of the host that is furthest; `host` is empty when there is none. `fit` says that what an
    engine needs is usable there, as far as is known. `startable` are models that could be started
    with the settings of this moment, `found` models whose files lie on the hosts."""

    host: str = ""
    key_changed: bool = False
    reached: bool = False
    fit: bool = False
    startable: int = 0
    found: int = 0
    served: bool = False


def next_step(facts: Facts) -> Step:
    if facts.served:
        return Step.DONE
    if not facts.host:
        return Step.HOST
    if facts.key_changed:
        return Step.HOST_KEY
    if not facts.reached or not facts.fit:
        return Step.DOCTOR
    if not facts.startable or not facts.found:
        return Step.ENGINE
    return Step.MODEL


def way(facts: Facts, wanted: Step | None = None) -> tuple[tuple[Step, State], ...]:
    """Every step with how it stands. `wanted` is one that somebody asks to see: it is open in place
    of the next one, when there is a host for it to be about."""
    opened = {wanted if wanted and facts.host else next_step(facts)}
    if not facts.host:
        opened.add(Step.KEY)
    done = _done(facts)
    return tuple(
        (step, "now" if step in opened else "done" if step in done else "later") for step in ORDER
    )


def _done(facts: Facts) -> frozenset[Step]:
    """What is settled, whether or not everything before it is."""
    settled = {
        Step.KEY: facts.reached,
        Step.HOST: bool(facts.host),
        Step.HOST_KEY: facts.reached and not facts.key_changed,
        Step.DOCTOR: facts.reached and facts.fit and not facts.key_changed,
        Step.ENGINE: facts.served or bool(facts.startable and facts.found),
        Step.MODEL: facts.served,
    }
    return frozenset(step for step, is_so in settled.items() if is_so)
