"""Lines that are logged once per request: as a logger writes them, at a third of its price.

Owns the short way: no event dict, no record, texts that were cleaned before are not cleaned again.
Whenever something is not as usual (lines for people, another handler, a level) it takes the long
way, so that nobody has to know which one it was. The lines of one turn of the event loop are
written together.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

from server.base.logs import Quiet, Renderer, get_logger


class Lines:
    """The quick logger of a room. `wall` is seconds since the epoch."""

    def __init__(self, room: str, wall: Callable[[], float] = time.time) -> None:
        self._name = f"server.{room}"
        self._logger = logging.getLogger(self._name)
        self._root = logging.getLogger()
        self._long = get_logger(room)
        self._wall = wall

    def info(self, event: str, **fields: Any) -> None:
        handlers = self._root.handlers
        if len(handlers) == 1 and isinstance(handler := handlers[0], Quiet):
            renderer = handler.formatter
            if isinstance(renderer, Renderer) and not renderer.pretty and not self._logger.handlers:
                if self._logger.isEnabledFor(logging.INFO):
                    self._write(handler, renderer.quick(self._wall(), self._name, event, fields))
                return
        fields.pop("request_id", None)  # the long way has it from the task
        self._long.info(event, **fields)

    def debug(self, event: str, **fields: Any) -> None:
        if self._logger.isEnabledFor(logging.DEBUG):
            fields.pop("request_id", None)
            self._long.debug(event, **fields)

    def exception(self, event: str, **fields: Any) -> None:
        self._long.exception(event, **fields)

    @staticmethod
    def _write(handler: Quiet, line: str) -> None:
        """Together with the other lines of this turn of the loop; at once where there is none."""
        if not handler.hold(line):
            return
        try:
            asyncio.get_running_loop().call_soon(handler.flush)
        except RuntimeError:
            handler.flush()
