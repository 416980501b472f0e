"""`models`: the catalog, and what would happen if one of its models were started."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from server.base.units import size
from server.cli.client import Client, path
from server.cli.errors import FAILURE, USAGE, CliError
from server.cli.names import MODEL
from server.cli.options import Session, common, verb
from server.cli.output import dash, findings, line, show_json, table
from server.cli.progress import number


@click.group()
@common
def models() -> None:
    """List, show, add, remove, tune and preflight models."""


@models.command("list")
@verb
def list_models(session: Session) -> None:
    """Every model of the catalog, and what is wrong with the files it is read from."""
    with session.client() as client:
        answer = client.get(path("models"))
        found = client.as_list(answer, "models")
    if session.json:
        show_json(answer)
        return
    rows = [
        [m.get("id"), m.get("nodes"), source(m), m.get("aliases") or None, m.get("origin")]
        for m in found
    ]
    table(["MODEL", "NODES", "SOURCE", "ALIASES", "FROM"], rows)
    problems = answer.get("problems") if isinstance(answer, dict) else None
    for problem in problems if isinstance(problems, list) else []:
        if isinstance(problem, dict):
            line(
                f"{problem.get('file')} line {dash(problem.get('line'))}: {problem.get('message')}"
            )


def source(model: dict[str, Any]) -> str | None:
    where = model.get("source")
    return str(where.get("hf") or where.get("path")) if isinstance(where, dict) else None


@models.command("discover")
@click.option("--rescan", is_flag=True, help="Ask for a new scan of the hosts first.")
@verb
def discover(session: Session, rescan: bool) -> None:
    """Models found on the hosts that are not in the catalog."""
    with session.client() as client:
        if rescan:
            client.post(path("discovery"))
        answer = client.get(path("discovery"))
        found = client.as_list(answer, "models")
    if session.json:
        show_json(answer)
        return
    rows = [[source(model), _where(model), size(number(model.get("bytes")))] for model in found]
    table(["SOURCE", "HOSTS", "SIZE"], rows)
    if rescan:
        line("The hosts are being scanned; ask again in a moment.", err=True)


def _where(model: dict[str, Any]) -> list[str]:
    hosts = model.get("hosts", [model])
    return [str(one.get("host")) for one in hosts if isinstance(one, dict)]


@models.command("show")
@click.argument("model", shell_complete=MODEL)
@verb
def show(session: Session, model: str) -> None:
    """MODEL in full, with where each value comes from."""
    with session.client() as client:
        found = client.get_object(path("models", model))
    if session.json:
        show_json(found)
        return
    origins = found.get("provenance")
    origins = origins if isinstance(origins, dict) else {}
    for key, value in found.items():
        if key == "provenance":
            continue
        if key == "fit" and isinstance(value, dict):
            _pair(key, f"{value.get('answer')}: {value.get('summary')}", {})
            continue
        if key == "knobs" and isinstance(value, dict):
            for name, knob in value.items():
                _pair(f"knobs.{name}", knob, origins)
        else:
            _pair(key, value, origins)


def _pair(key: str, value: Any, origins: dict[str, Any]) -> None:
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) else dash(value)
    origin = origins.get(key)
    line(f"{key:<28} {text}" + (f"   ({origin})" if origin else ""))


@models.command("add")
@click.argument("model")
@click.option("--hf", metavar="ORG/NAME", help="From Hugging Face.")
@click.option("--path", "local", metavar="DIR", help="From a directory on the hosts.")
@click.option("--revision", help="Of the Hugging Face repository.")
@click.option("--name", help="For people.")
@click.option("--description", help="For people.")
@click.option("--nodes", type=click.IntRange(1, 8), help="Sparks it runs on; default 1.")
@click.option("--knob", "knobs", multiple=True, metavar="KEY=VALUE", help="See `models knobs`.")
@click.option("--env", "env", multiple=True, metavar="KEY=VALUE", help="For the engine.")
@click.option("--alias", "aliases", multiple=True, help="Another name in API calls.")
@click.option("--ttl", type=click.IntRange(0), help="Seconds idle before unloading; 0: never.")
@click.option("--pinned", is_flag=True, default=None, help="Never unloaded for a program's sake.")
@click.option(
    "--swap",
    type=click.Choice(["auto", "ask", "never"]),
    help="What a request for it does when it is not loaded; default: as the settings say.",
)
@click.option(
    "--from-file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="An entry as JSON; options given beside it win.",
)
@verb
def add(session: Session, model: str, from_file: Path | None, **given: Any) -> None:
    """Add MODEL to the catalog (models.override.yaml)."""
    body = _entry(_read(from_file) if from_file else {}, model, given)
    with session.client() as client:
        answer = client.post(path("models"), body)
    if session.json:
        show_json(answer)
    else:
        line(f"Added {model}. See whether it would fit: spark-control models preflight {model}")


def _read(file: Path) -> dict[str, Any]:
    try:
        body = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise CliError(f"{file}: {error}", USAGE) from None
    if not isinstance(body, dict):
        raise CliError(f"{file}: one entry, a JSON object, is expected", USAGE)
    return body


def _entry(body: dict[str, Any], model: str, given: dict[str, Any]) -> dict[str, Any]:
    body = body | {"id": model}
    origin = {"hf": given["hf"], "path": given["local"], "revision": given["revision"]}
    if any(origin.values()):
        body["source"] = {key: value for key, value in origin.items() if value}
    if "source" not in body:
        raise click.UsageError("Say where it comes from: --hf ORG/NAME or --path DIR.")
    for key in ("name", "description", "nodes", "ttl", "pinned", "swap"):
        if given[key] is not None:
            body[key] = given[key]
    if given["knobs"]:
        body["knobs"] = pairs(given["knobs"])
    if given["env"]:
        body["env"] = dict(_split(text) for text in given["env"])
    if given["aliases"]:
        body["aliases"] = list(given["aliases"])
    return body


def pairs(texts: Iterable[str]) -> dict[str, Any]:
    """`max_model_len=32768` -> a number; what is not JSON is a string."""
    result: dict[str, Any] = {}
    for text in texts:
        key, value = _split(text)
        try:
            result[key] = json.loads(value)
        except ValueError:
            result[key] = value
    return result


def _split(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise click.UsageError(f"{text!r} should look like KEY=VALUE.")
    return key, value


@models.command("import")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@verb
def take_recipe(session: Session, file: Path) -> None:
    """A recipe of spark-vllm-docker or sparkrun as an entry for `models add --from-file`."""
    try:
        text = file.read_text("utf-8")
    except (OSError, ValueError) as error:
        raise CliError(f"{file}: {error}", USAGE) from None
    with session.client() as client:
        answer = client.as_object(client.post(path("models", "import"), {"text": text}))
        left = client.as_list(answer, "left_out")
    if session.json:
        show_json(answer)
        return
    show_json(answer.get("model"))
    for note in left:
        line(f"left out: {note.get('what')}: {note.get('note')}", err=True)


@models.command("reset")
@click.argument("model")
@verb
def reset(session: Session, model: str) -> None:
    """Forget every change to a shipped MODEL; brings back one that was removed."""
    with session.client() as client:
        answer = client.post(path("models", model, "reset"))
    show_json(answer) if session.json else line(f"{model} is as it was shipped.")


@models.command("remove")
@click.argument("model", shell_complete=MODEL)
@verb
def remove(session: Session, model: str) -> None:
    """Remove MODEL from the catalog. Its files on the hosts stay."""
    with session.client() as client:
        answer = client.delete(path("models", model))
    show_json(answer) if session.json else line(f"Removed {model} from the catalog.")


@models.command("knobs")
@click.argument("model", shell_complete=MODEL)
@click.argument("settings", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--unset", multiple=True, metavar="KEY", help="Back to vLLM's own default.")
@verb
def knobs(session: Session, model: str, settings: tuple[str, ...], unset: tuple[str, ...]) -> None:
    """Show the vLLM settings of MODEL, or change them: max_model_len=32768."""
    changes = pairs(settings)
    with session.client() as client:
        current = _knobs_of(client, model)
        if changes or unset:
            wanted = {k: v for k, v in (current | changes).items() if k not in unset}
            client.put(path("models", model, "knobs"), wanted)
            current = _knobs_of(client, model)
    if session.json:
        show_json(current)
        return
    for key, value in current.items():
        line(f"{key:<28} {json.dumps(value, ensure_ascii=False)}")


def _knobs_of(client: Client, model: str) -> dict[str, Any]:
    return client.as_object(client.get_object(path("models", model)).get("knobs") or {})


@models.command("command")
@click.argument("model", shell_complete=MODEL)
@verb
def command(session: Session, model: str) -> None:
    """The exact command lines that would start MODEL, secrets redacted."""
    with session.client() as client:
        answer = client.get(path("models", model, "command"))
        planned = client.as_list(answer, "commands")
    if session.json:
        show_json(answer)
        return
    for step in planned:
        line(f"# {dash(step.get('name'))} on {dash(step.get('host'))}")
        line(step.get("command") or "")


@models.command("preflight")
@click.argument("model", shell_complete=MODEL)
@verb
def preflight(session: Session, model: str) -> int:
    """Would MODEL start? Fit, disk, files, port, parity; touches nothing."""
    with session.client() as client:
        answer = client.as_object(client.post(path("models", model, "preflight")))
        found = client.as_list(answer, "findings")
    show_json(answer) if session.json else findings(found)
    return 0 if answer.get("ok") is True else FAILURE
