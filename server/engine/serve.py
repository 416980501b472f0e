"""The process of the engine: loads the models, listens, ends when told to."""

from typing import NamedTuple

from server.engine.weights.shelf import Shelf


class Limits(NamedTuple):
    """What is refused with 413 or 429."""

    seconds: float
    upload_bytes: int
    waiting: int


def run(host: str, port: int, shelf: Shelf, limits: Limits) -> int:
    raise NotImplementedError
