"""When a failed connection may be tried again: exponential with full jitter. Pure.

Full jitter (anywhere between 0 and the ceiling) keeps eight hosts behind one rebooted switch from
being called back in step.
"""

BASE = 0.5
CEILING = 30.0


def ceiling(failures: int) -> float:
    """The longest wait after `failures` failures in a row: 0.5 s, 1, 2, … 30 s."""
    if failures < 1:
        return 0.0
    return min(CEILING, BASE * 2.0 ** min(failures - 1, 16))


def delay(failures: int, fraction: float) -> float:
    """The wait after `failures` failures in a row; `fraction` is random in [0, 1)."""
    return ceiling(failures) * fraction
