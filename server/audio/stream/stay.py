"""How long a connection may stay, and carry nothing. Pure."""

from server.base.errors import SessionExpired
from server.config.gateway import Gateway


def overstayed(settings: Gateway, opened: float, last: float, now: float) -> SessionExpired | None:
    """Why it has to end, when its client said something `last`."""
    idle, whole = settings.socket_idle_seconds, settings.socket_seconds
    if idle and now - last >= idle:
        return SessionExpired(f"Nothing came for {idle:g} s (gateway.socket_idle_seconds).")
    if whole and now - opened >= whole:
        return SessionExpired(
            f"It was open for {whole:g} s (gateway.socket_seconds): connect again."
        )
    return None


def every(settings: Gateway) -> float:
    """Seconds between two looks."""
    bounds = (settings.socket_idle_seconds, settings.socket_seconds)
    return min(settings.keepalive_seconds, *(one for one in bounds if one), 60.0)
