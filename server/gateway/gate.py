"""The gatekeeper of a house without keys: everybody may, and is called by the address."""

from collections.abc import Iterable

from server.gateway.model import Caller, Operation, Passage, Route
from server.gateway.wire import Header


class OpenGate:
    """Remembers the callers it saw, because making one costs more than looking it up."""

    def __init__(self, remembered: int = 1024) -> None:
        self._callers: dict[str, Caller] = {}
        self._remembered = remembered

    def identify(self, headers: list[Header], address: str) -> Caller:
        return self.recognised(None, address)

    def recognised(self, key: str | None, address: str) -> Caller:
        caller = self._callers.get(address)
        if caller is None:
            if len(self._callers) >= self._remembered:
                self._callers.clear()
            caller = self._callers[address] = Caller(address or "anyone", address)
        return caller

    def enter(self, caller: Caller) -> None:
        return None

    def edition(self, caller: Caller) -> int:
        return 0

    def allow(self, caller: Caller, operation: Operation, route: Route) -> None:
        return None

    def look(self, caller: Caller, operation: Operation) -> None:
        return None

    def sees(self, caller: Caller, names: Iterable[str]) -> bool:
        return True

    def headers_for(self, caller: Caller) -> list[Header]:
        return []

    def spend(self, passage: Passage, operation: Operation) -> None:
        return None
