"""What a caller may ask for at most. Data, pure."""

from typing import NamedTuple


class Limits(NamedTuple):
    """Seconds of a recording, bytes of an upload (413), who may wait for each model (429)."""

    seconds: float = 1800.0
    upload_bytes: int = 256 << 20
    waiting: int = 8
