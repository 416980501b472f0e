"""What takes long is not done on the loop: there it would stop every stream for as long."""

import threading
from pathlib import Path
from typing import Any

import jinja2
import pytest
from fastapi import FastAPI

from server.base.bus import EventBus
from server.base.clock import SystemClock
from server.catalog.service import CatalogService
from server.config.store import SettingsStore
from server.web.pages.notice import NoticeBoard
from server.web.pages.routes import make_site, routes
from tests.web.made import Web, web

ROOT = Path(__file__).resolve().parents[2]


class Watched:
    """In which threads a function was called."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> None:
        self.threads: list[int] = []
        inner = getattr(owner, name)

        def noted(*args: Any, **more: Any) -> Any:
            self.threads.append(threading.get_ident())
            return inner(*args, **more)

        monkeypatch.setattr(owner, name, noted)

    @property
    def on_the_loop(self) -> int:
        return self.threads.count(threading.get_ident())


async def test_a_prepared_page_compiles_no_template(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The app prepares them in a thread; a first page used to take 75 ms on the loop."""
    board = NoticeBoard(EventBus(), SystemClock())
    site = make_site(
        ROOT / "templates", tmp_path, notices=board, public_key="ssh", refusal=lambda _model: None
    )
    site.pen.prepare()
    compiled = Watched(monkeypatch, jinja2.Environment, "compile")
    async with web(tmp_path, pages=[routes(site)]) as pages:
        for path in ("/", "/activity", "/services/kokoro"):
            answer = await pages.client.get(path)
            assert answer.status_code == 200, answer.text
    assert compiled.threads == []


async def test_the_description_of_the_api_is_made_beside_the_loop(
    api: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Watched(monkeypatch, FastAPI, "openapi")
    answer = await api.client.get("/api/v1/openapi.json")
    assert answer.status_code == 200
    assert "/api/v1/hosts" in answer.json()["paths"]
    assert made.threads
    assert made.on_the_loop == 0


async def test_changes_of_models_and_settings_are_written_beside_the_loop(
    api: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading, checking and the wait for the disk."""
    models = Watched(monkeypatch, CatalogService, "_write")
    settings = Watched(monkeypatch, SettingsStore, "_write")
    knobs = await api.client.put("/api/v1/models/tiny/knobs", json={"max_model_len": 2048})
    assert knobs.status_code == 200, knobs.text
    host = await api.client.post(
        "/api/v1/hosts", json={"name": "new", "address": "192.0.2.9", "user": "ubuntu"}
    )
    assert host.status_code == 201, host.text
    assert models.threads
    assert settings.threads
    assert models.on_the_loop == settings.on_the_loop == 0
