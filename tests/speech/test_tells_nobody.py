"""What the models run on tells nobody about it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.running import ROOT


@pytest.mark.parametrize("module", ["onnxruntime", "faster_whisper.vad"])
def test_no_library_of_the_engine_keeps_a_diary(module: str, tmp_path: Path) -> None:
    """onnxruntime sends its maker what it does, by a file below the home directory. Imported as the
    engine imports it, it leaves nothing there."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
    kept.pop("ORT_DISABLE_TELEMETRY", None)
    code = f"from server.engine.extra import need; need({module!r})"
    subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**kept, "HOME": str(tmp_path)},
        check=True,
        stdin=subprocess.DEVNULL,
    )
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
