"""The API over a fresh data directory, without a socket."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.web.made import Web, web


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Web]:
    async with web(tmp_path) as made:
        yield made
