"""How sizes and durations are written for people. Sizes are bytes, durations seconds."""

_SIZES = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")

KIB = 1024
MIB = 1024**2
GIB = 1024**3


def size(count: float | None) -> str:
    """`None` is drawn as a dash: an unknown size is never 0."""
    if count is None:
        return "–"
    value = float(count)
    for unit in _SIZES[:-1]:
        if abs(value) < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} {_SIZES[-1]}"


def duration(seconds: float | None) -> str:
    """`4.2 s`, `3 min 05 s`, `2 h 10 min`; a dash for unknown."""
    if seconds is None:
        return "–"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"
