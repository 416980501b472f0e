"""The control URL of the simulator: what the hosts do can be changed while they run.

Owns routes and their JSON. Refuses requests whose Host is not this machine, so that no web page can
reach it.

    GET  /hosts                      GET /hosts/NAME
    GET  /hosts/NAME/scenario        PUT /hosts/NAME/scenario   (some keys are enough)
    POST /hosts/NAME/ACTION          up | restore | down | cut | new-host-key | reboot
"""

from collections.abc import Awaitable, Callable, Mapping

from server.sim.engine.server import HttpServer, Request, Response
from server.sim.host import SimHost
from server.sim.scenario import ScenarioError


class Control:
    """Serves on a free port of 127.0.0.1."""

    def __init__(self, hosts: Mapping[str, SimHost]) -> None:
        self._hosts = hosts
        self._server = HttpServer(self._handle)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.port}"

    async def open(self) -> None:
        await self._server.listen("127.0.0.1", 0)

    async def close(self) -> None:
        await self._server.close()

    async def _handle(self, request: Request) -> Response:
        if request.headers.get("host", "").partition(":")[0] not in ("127.0.0.1", "localhost"):
            return _problem(403, "the control URL is for this machine only")
        parts = [part for part in request.path.split("/") if part]
        if parts[:1] != ["hosts"] or len(parts) > 3:
            return _problem(404, f"no such path: {request.path}")
        if len(parts) == 1:
            return Response.of([host.to_dict() for host in self._hosts.values()])
        host = self._hosts.get(parts[1])
        if host is None:
            return _problem(404, f"no host is named {parts[1]!r}")
        return await self._host(request, host, *parts[2:])

    async def _host(self, request: Request, host: SimHost, what: str = "") -> Response:
        if not what:
            return Response.of(host.to_dict())
        if what == "scenario":
            return self._scenario(request, host)
        return await self._act(request, host, what)

    def _scenario(self, request: Request, host: SimHost) -> Response:
        if request.method == "GET":
            return Response.of(host.told.to_dict())
        if request.method not in ("PUT", "POST"):
            return _problem(405, "a scenario is read with GET and changed with PUT")
        try:
            changes = request.json()
            if not isinstance(changes, dict):
                return _problem(422, "the body must be a JSON object")
            return Response.of(host.change(changes).to_dict())
        except ScenarioError as error:
            return _problem(422, str(error))
        except ValueError as error:
            return _problem(400, f"the body is not JSON: {error}")

    async def _act(self, request: Request, host: SimHost, action: str) -> Response:
        if request.method != "POST":
            return _problem(405, "an action is a POST")
        actions: dict[str, Callable[[], Awaitable[None]]] = {
            "up": lambda: host.set_link("up"),
            "restore": lambda: host.set_link("up"),
            "down": lambda: host.set_link("down"),
            "cut": lambda: host.set_link("cut"),
            "new-host-key": host.new_host_key,
            "reboot": host.reboot,
        }
        if action not in actions:
            return _problem(404, f"no such action: {action}; known are {', '.join(actions)}")
        await actions[action]()
        return Response.of(host.to_dict())


def _problem(status: int, message: str) -> Response:
    return Response.of({"error": {"message": message, "code": status, "source": "sim"}}, status)
