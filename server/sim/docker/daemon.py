"""The simulated dockerd of one host: containers, images, and the commands of the docker client.

Owns every container of the host. Refuses concurrency of its own: it lives on the simulator's event
loop, one command is one coroutine, and a name is taken before anything is awaited.
"""

import asyncio
import secrets
import shutil
import signal
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from server.sim.docker import images, recipe, show
from server.sim.docker.about import About, processes
from server.sim.docker.call import Answer, Call
from server.sim.docker.container import Container, NotExecutableError, Recipe
from server.sim.docker.images import Images
from server.sim.docker.words import Command, DockerError, parse
from server.sim.layout import HostDir
from server.sim.reaper import Reaper, spawn

RESTART_SECONDS = 0.5


def missing(name: str) -> DockerError:
    return DockerError(f"Error response from daemon: No such container: {name}\n")


class Daemon:
    """One per host."""

    def __init__(self, host: HostDir, reaper: Reaper) -> None:
        self.host = host
        self.images = Images()
        self.containers: dict[str, Container] = {}
        self._about = About(host, self.images, self.containers, self.find)
        self._reaper = reaper
        self._tasks: set[asyncio.Task[None]] = set()

    async def call(self, call: Call) -> Answer:
        """Run one client command. Raises DockerError."""
        command = parse(call.argv)
        if command.name != "exec":
            call.release()
        handlers: dict[str, Callable[[Command, Call], Awaitable[Answer]]] = {
            "run": self._run,
            "exec": self._exec,
            "ps": self._ps,
            "inspect": self._inspect,
            "logs": self._logs,
            "stop": self._stop,
            "restart": self._restart,
            "start": self._start,
            "kill": self._kill,
            "rm": self._rm,
            "wait": self._wait,
            "top": self._top,
            "pull": self._about.pull,
            "images": self._about.images,
            "image inspect": self._about.image_inspect,
            "rmi": self._about.rmi,
            "version": self._about.version,
            "info": self._about.info,
            "stats": self._about.stats,
        }
        return await handlers[command.name](command, call)

    def find(self, name: str) -> Container:
        """By name, id, or a prefix of the id. Raises DockerError."""
        for container in self.containers.values():
            if container.recipe.name == name.removeprefix("/"):
                return container
        found = [c for c in self.containers.values() if c.id.startswith(name)] if name else []
        if len(found) != 1:
            raise missing(name)
        return found[0]

    def add(self, made: Recipe) -> Container:
        """Take the name and make the container. Raises DockerError on a conflict."""
        for other in self.containers.values():
            if other.recipe.name == made.name:
                raise recipe.refused(
                    f'Conflict. The container name "/{made.name}" is already in use by container '
                    f'"{other.id}". You have to remove (or rename) that container to be able to '
                    "reuse that name."
                )
        container = Container(secrets.token_hex(32), self.host, made)
        container.ended.set()
        self.containers[container.id] = container
        container.prepare()
        return container

    def launch(self, container: Container) -> None:
        container.start(self._reaper, self._ended)

    def _ended(self, container: Container) -> None:
        """--rm removes it; a restart policy brings it back."""
        if container.recipe.auto_remove:
            self._remove(container)
            return
        policy, _, limit = container.recipe.restart.partition(":")
        again = policy in ("always", "unless-stopped") or (
            policy == "on-failure"
            and container.exit_code != 0
            and (not limit or container.restarts < int(limit))
        )
        if again and not container.stopping:
            task = asyncio.create_task(self._again(container))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _again(self, container: Container) -> None:
        await asyncio.sleep(RESTART_SECONDS)
        if container.id in self.containers and not container.running and not container.stopping:
            container.restarts += 1
            self.launch(container)

    def _remove(self, container: Container) -> None:
        self.containers.pop(container.id, None)
        shutil.rmtree(container.root, ignore_errors=True)

    def reboot(self) -> None:
        """All processes were killed with the host: services come back, engines stay exited."""
        for container in list(self.containers.values()):
            if container.recipe.restart in ("always", "unless-stopped") and not container.running:
                container.stopping = False
                self.launch(container)

    def close(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def _run(self, command: Command, call: Call) -> Answer:
        image = await self._image(command.words[0])
        name = command.value("name") or f"simulated_{secrets.token_hex(4)}"
        if self.host.scenario.disk_full:
            raise recipe.refused(
                "failed to mkdir /var/lib/docker/overlay2/simulated: no space left on device"
            )
        made = recipe.build(
            command, image, name, environ=call.environ, cwd=call.cwd, host=self.host
        )
        container = self.add(made)
        await asyncio.sleep(self.host.scenario.start_delay)
        if container.id not in self.containers:
            raise missing(name)
        try:
            self.launch(container)
        except NotExecutableError as error:
            raise self._not_started(container, error) from None
        if "detach" in command.flags:
            return Answer(out=f"{container.id}\n")
        follow = {"log": str(container.log), "tail": None, "timestamps": False, "exit": True}
        return Answer(follow=follow, container=container)

    def _not_started(self, container: Container, error: NotExecutableError) -> DockerError:
        container.status, container.exit_code = "created", 127
        if container.recipe.auto_remove:
            self._remove(container)
        return recipe.refused(
            "failed to create task for container: failed to create shim task: OCI runtime create "
            "failed: runc create failed: unable to start container process: error during "
            f"container init: {error}",
            127,
        )

    async def _image(self, name: str) -> str:
        found = self.images.find(name)
        if found:
            return found
        if not self.images.pullable(name):
            raise DockerError(
                f"Unable to find image '{images.full(name)}' locally\ndocker: Error response from "
                f"daemon: pull access denied for {name.partition(':')[0]}, repository does not "
                f"exist or may require 'docker login'\n{recipe.SEE_HELP}",
                125,
            )
        await self._about.fetch(name)
        return images.full(name)

    async def _exec(self, command: Command, call: Call) -> Answer:
        container = self.find(command.words[0])
        if not container.running:
            raise DockerError(
                f"Error response from daemon: container {container.id} is not running\n"
            )
        try:
            argv = container.resolve(command.words[1:])
        except NotExecutableError as error:
            text = "OCI runtime exec failed: exec failed: unable to start container process"
            return Answer(out=f"{text}: {error}\n", code=127)
        extra = dict(item.partition("=")[::2] for item in command.values.get("env", ()))
        detached = "detach" in command.flags
        source = call.files[0] if "interactive" in command.flags else None
        files = (None, None, None) if detached else (source, call.files[1], call.files[2])
        workdir = (command.value("workdir") or container.recipe.workdir).lstrip("/")
        pid = spawn(
            argv,
            env=container.environment() | extra,
            cwd=container.rootfs / workdir,
            files=files,
        )
        call.release()
        if detached:
            return Answer()
        code = await self._reaper.wait(pid)
        return Answer(code=128 - code if code < 0 else code)

    async def _ps(self, command: Command, _: Call) -> Answer:
        return Answer(out=show.ps(self.containers.values(), command, datetime.now(UTC)))

    async def _inspect(self, command: Command, _: Call) -> Answer:
        found: list[dict[str, Any]] = []
        absent: list[str] = []
        for name in command.words:
            try:
                found.append(show.inspect(self.find(name)))
            except DockerError:
                image = self.images.find(name)
                if image and command.value("type") != "container":
                    found.append(self.images.describe(image))
                else:
                    absent.append(name)
        template = command.value("format")
        out = show.dump(found, template) if found or not template else "\n"
        err = "".join(f"Error: No such object: {name}\n" for name in absent)
        return Answer(out=out if found else "[]\n", err=err, code=1 if absent else 0)

    async def _logs(self, command: Command, _: Call) -> Answer:
        container = self.find(command.words[0])
        follow = {
            "log": str(container.log),
            "tail": command.value("tail"),
            "since": command.value("since"),
            "timestamps": "timestamps" in command.flags,
            "exit": False,
        }
        live = container if "follow" in command.flags and container.running else None
        return Answer(follow=follow, container=live)

    async def _each(self, command: Command, act: Callable[[Container], Awaitable[None]]) -> Answer:
        """Act on every named container at once; print the names that worked."""

        async def one(name: str) -> DockerError | None:
            try:
                await act(self.find(name))
            except DockerError as problem:
                return problem
            return None

        results = await asyncio.gather(*(one(name) for name in command.words))
        good = [n for n, bad in zip(command.words, results, strict=True) if bad is None]
        err = "".join(bad.text for bad in results if bad is not None)
        return Answer(out="".join(f"{n}\n" for n in good), err=err, code=1 if err else 0)

    async def _stop(self, command: Command, _: Call) -> Answer:
        async def act(container: Container) -> None:
            await container.stop(self._grace(command, container))

        return await self._each(command, act)

    def _grace(self, command: Command, container: Container) -> float:
        return float(command.value("time", "timeout") or container.recipe.stop_timeout)

    async def _restart(self, command: Command, _: Call) -> Answer:
        async def act(container: Container) -> None:
            await container.stop(self._grace(command, container))
            self.launch(container)

        return await self._each(command, act)

    async def _start(self, command: Command, _: Call) -> Answer:
        async def act(container: Container) -> None:
            if not container.running:
                self.launch(container)

        return await self._each(command, act)

    async def _kill(self, command: Command, _: Call) -> Answer:
        name = (command.value("signal") or "KILL").removeprefix("SIG")
        number = signal.Signals(int(name)) if name.isdigit() else signal.Signals[f"SIG{name}"]

        async def act(container: Container) -> None:
            if not container.running:
                raise DockerError(
                    f"Error response from daemon: cannot kill container: {container.recipe.name}: "
                    f"container {container.id} is not running\n"
                )
            await container.kill(number)

        return await self._each(command, act)

    async def _rm(self, command: Command, _: Call) -> Answer:
        force = "force" in command.flags

        async def act(container: Container) -> None:
            if container.running and not force:
                raise DockerError(
                    f'Error response from daemon: cannot remove container "{container.recipe.name}"'
                    ": container is running: stop the container before removing or force remove\n"
                )
            await container.kill()
            self._remove(container)

        answer = await self._each(command, act)
        only_missing = all("No such container" in line for line in answer.err.splitlines())
        if force and only_missing:
            return Answer(out=answer.out, err=answer.err)
        return answer

    async def _wait(self, command: Command, _: Call) -> Answer:
        container = self.find(command.words[0])
        await container.ended.wait()
        return Answer(out=f"{container.exit_code}\n")

    async def _top(self, command: Command, _: Call) -> Answer:
        container = self.find(command.words[0])
        if not container.running:
            raise DockerError(
                f"Error response from daemon: container {container.id} is not running\n"
            )
        rows = list(processes(container))
        if any("pid" in word for word in command.words[1:]):
            lines = ["PID                 COMMAND"]
            lines += [f"{pid:<20}{line}" for pid, _, line in rows]
        else:
            lines = ["UID  PID  PPID  C  STIME  TTY  TIME  CMD"]
            lines += [
                f"root  {pid}  {ppid}  0  10:00  ?  00:00:01  {line}" for pid, ppid, line in rows
            ]
        return Answer(out="\n".join(lines) + "\n")
