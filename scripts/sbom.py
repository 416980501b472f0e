"""`make sbom`: what the app is made of, as CycloneDX JSON and as a list of licences, into `dist/`.

Owns which parts count: the locked run-time packages (of a fresh environment that holds nothing
else), ourselves, and the front-end libraries of `static/package-lock.json`. How Python packages are
described is CycloneDX's own tool's business. A part without a licence is a failure, not a blank.
"""

from __future__ import annotations

import base64
import json
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

from toolchain import ROOT, STATIC, SetupError, find_uv, install_uv, run_quietly, say
from wheel import DIST

CYCLONEDX = "cyclonedx-bom==7.5.0"
SBOM = "sbom.cdx.json"
LICENSES = "licenses.md"


def describe_python(uv: str) -> dict[str, Any]:
    """The SBOM of the run-time environment, made anew from the lock file."""
    with tempfile.TemporaryDirectory() as folder:
        venv, report = Path(folder, "venv"), Path(folder, SBOM)
        sync = [uv, "sync", "--locked", "--quiet", "--no-dev", "--all-extras", "--no-editable"]
        run_quietly(
            [*sync, "--python", sys.executable], "uv sync", UV_PROJECT_ENVIRONMENT=str(venv)
        )
        tool = [uv, "tool", "run", "--quiet", "--from", CYCLONEDX, "cyclonedx-py", "environment"]
        tool += ["--pyproject", str(ROOT / "pyproject.toml"), "--mc-type", "application"]
        tool += ["--spec-version", "1.6", "--output-reproducible", "--output-format", "JSON"]
        tool += ["--output-file", str(report), str(venv / "bin" / "python")]
        run_quietly(tool, f"{CYCLONEDX} could not describe the environment")
        found: dict[str, Any] = json.loads(report.read_text("utf-8"))
    return found


def front_end(lock: dict[str, Any]) -> list[dict[str, Any]]:
    """The npm packages that `static/dist` is made of, as CycloneDX components."""
    components = []
    for place, package in sorted(lock["packages"].items()):
        if not place or package.get("dev"):
            continue
        name = place.rpartition("node_modules/")[2]
        algorithm, _, digest = package["integrity"].partition("-")
        purl = f"pkg:npm/{name.replace('@', '%40')}@{package['version']}"
        components.append(
            {
                "type": "library",
                "bom-ref": purl,
                "name": name,
                "version": package["version"],
                "purl": purl,
                "licenses": [
                    {"license": {"name": name}} for name in [package.get("license")] if name
                ],
                "hashes": [
                    {
                        "alg": re.sub(r"^sha(\d+)$", r"SHA-\1", algorithm),
                        "content": base64.b64decode(digest).hex(),
                    }
                ],
            }
        )
    return components


def add_front_end(bom: dict[str, Any], components: list[dict[str, Any]]) -> None:
    """Among the parts, and among what the app depends on."""
    bom["components"] += components
    root = bom["metadata"]["component"]["bom-ref"]
    bom["dependencies"] += [{"ref": part["bom-ref"]} for part in components]
    ours = next(one for one in bom["dependencies"] if one["ref"] == root)
    ours["dependsOn"] = sorted([*ours.get("dependsOn", []), *(c["bom-ref"] for c in components)])


def licenses_of(component: dict[str, Any]) -> str:
    """The licence in one line: an SPDX expression, else SPDX names, else the package's words."""
    declared = component.get("licenses", [])
    for choice in declared:
        if "expression" in choice:
            return str(choice["expression"])
    named = [choice["license"] for choice in declared if "license" in choice]
    ids = sorted({str(one["id"]) for one in named if "id" in one})
    others = sorted({str(one["name"]).rpartition(" :: ")[2] for one in named if "name" in one})
    return ", ".join(ids or others)


def licence_list(components: list[dict[str, Any]]) -> str:
    """One row a part. Raises SetupError for a part that names no licence."""
    rows, blank = [], []
    for part in sorted(components, key=lambda part: (str(part["name"]).lower(), part["version"])):
        licence = licenses_of(part)
        if not licence:
            blank.append(str(part["name"]))
        rows.append(f"| {part['name']} | {part['version']} | {licence} |\n")
    if blank:
        raise SetupError(f"no licence is named by: {', '.join(blank)}")
    title = "# Licences of what Spark Control is made of\n\n"
    return title + "| part | version | licence |\n|---|---|---|\n" + "".join(rows)


def main() -> int:
    try:
        bom = describe_python(find_uv() or install_uv())
        lock = json.loads((STATIC / "package-lock.json").read_text("utf-8"))
        add_front_end(bom, front_end(lock))
        text = licence_list(bom["components"])
    except SetupError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    DIST.mkdir(exist_ok=True)
    (DIST / SBOM).write_text(json.dumps(bom, indent=2) + "\n", "utf-8")
    (DIST / LICENSES).write_text(text, "utf-8")
    say(f"dist/{SBOM}, dist/{LICENSES}: {len(bom['components'])} parts")
    return 0


if __name__ == "__main__":
    sys.exit(main())
