"""The services beside the engine on a simulated host: which there are, and where."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """A service the simulator offers: its name, kind, port and container."""

    name: str
    kind: str
    port: int
    container: str


OFFERED = (
    Kind("parakeet", "asr", 8001, "parakeet-asr"),
    Kind("kokoro", "tts", 8880, "kokoro-tts"),
    Kind("embeddings", "embeddings", 8002, "embeddings"),
    Kind("qdrant", "qdrant", 6333, "qdrant"),
)
