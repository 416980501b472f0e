"""The package beside the real app and a simulated cluster: health rows and what actions show."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.running import ONE, House, until
from tests.sim_cluster import running_sim
from tests.startos.box import Box, Refused

pytestmark = pytest.mark.sim


@pytest.fixture
def pair(tmp_path: Path, built: tuple[Path, str]) -> Iterator[tuple[Box, House]]:
    """One data directory, as the app's volume and as StartOS sees it."""
    with running_sim(tmp_path, hosts=2) as sim:
        house = House(sim)
        house.start()
        try:
            with Box(tmp_path / "startos", *built, data=sim.dir) as box:
                box.ask("app", url=house.url)
                box.ask("main")
                yield box, house
        finally:
            house.stop()
            house.http.close()


def test_rows_and_actions_tell_what_the_app_knows(pair: tuple[Box, House]) -> None:
    """Ready, reached, served; a Spark that is lost turns amber and its findings say why."""
    box, house = pair
    assert box.ask("ready", id="primary") == {"result": "success", "message": "Ready"}
    until(lambda: box.ask("ready", id="hosts")["result"] == "success", "both Sparks to be reached")
    assert box.ask("ready", id="engine")["result"] == "disabled"

    tested = box.ask("run", id="test-connection")
    assert [one["name"] for one in tested["result"]["value"]] == ["spark-1", "spark-2"]
    lines = [line["value"] for line in tested["result"]["value"][0]["value"]]
    assert len(lines) > 3
    assert not [line for line in lines if line[0] in "✗?"]

    def saved() -> Any:
        return {host["name"]: host["labels"] for host in house.get("/hosts")["hosts"]}

    form = box.ask("form", id="configure-sparks")["value"]
    form["hosts"][1]["labels"] = ["from-startos"]
    box.ask("run", id="configure-sparks", input=form)
    until(lambda: saved()["spark-2"] == ["from-startos"], "the running app to take the change")

    swap = house.ask(ONE)
    house.reached(swap, "serving")
    until(lambda: box.ask("ready", id="engine")["result"] == "success", "the model to show")
    assert ONE in box.ask("ready", id="engine")["message"]

    house.sim.act("spark-2", "down")
    until(lambda: box.ask("ready", id="hosts")["result"] == "loading", "the lost Spark to show")
    tested = box.ask("run", id="test-connection")
    assert "spark-2" in tested["message"]
    status = {
        one["name"]: one["value"] for one in box.ask("run", id="show-status")["result"]["value"]
    }
    assert status["Spark Control"] == "ready"
    assert [one["name"] for one in status["Sparks"]] == ["spark-1", "spark-2"]
    assert status["Sparks"][0]["value"].startswith("up")
    assert status["Sparks"][1]["value"].startswith("unknown")


def test_a_password_on_the_app_does_not_shut_the_package_out(pair: tuple[Box, House]) -> None:
    """Rows and actions go on: the package may read the data directory, and so the app's token. A
    key is shown once, listed, and refused from the moment it is revoked."""
    box, house = pair
    box.run("password", {"mode": "password", "password": "correct horse battery"})
    until(lambda: house.http.get("/api/v1/hosts").status_code == 401, "the lock to close")
    until(lambda: box.ask("ready", id="hosts")["result"] == "success", "both Sparks to be reached")
    box.run("show-status")
    made = box.run("create-api-key", {"name": "recorder", "scope": "read", "days": 7})
    assert made["result"]["masked"]
    headers = {"authorization": f"Bearer {made['result']['value']}"}
    assert house.http.get("/api/v1/hosts", headers=headers).status_code == 200
    [listed] = box.run("api-keys")["result"]["value"]
    assert listed["name"] == "recorder"
    assert made["result"]["value"] not in str(listed)
    with pytest.raises(Refused, match="recorder"):
        box.run("create-api-key", {"name": "recorder", "scope": "read", "days": None})
    box.run("revoke-api-key", {"name": "recorder"})
    assert house.http.get("/api/v1/hosts", headers=headers).status_code == 401
    assert box.run("api-keys")["result"]["value"] == []
    with pytest.raises(Refused, match="nobody"):
        box.run("revoke-api-key", {"name": "nobody"})


def test_without_the_app_an_action_says_so(box: Box) -> None:
    """A sentence, no trace."""
    for action in ("test-connection", "show-status", "api-keys"):
        with pytest.raises(Refused, match="Spark Control does not answer"):
            box.ask("run", id=action)
