"""Archives that somebody hands in: broken, made to do harm, or only in part there."""

import gzip
import io
import json
import tarfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.upkeep.backup import archive
from server.upkeep.backup.archive import entry_of
from server.upkeep.backup.manifest import (
    CONFIG,
    MANIFEST,
    SEALED,
    Damaged,
    Entry,
    Manifest,
    allowed,
    decode,
)
from server.upkeep.backup.seal import COST, Seal

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
FILES = {CONFIG: b"hosts: []\n", "patches/a/b.diff": b"x" * 1000}
MANIFESTED = Manifest(
    "manual-0mc1x2y3z4k7q2",
    NOON,
    "0.1.0",
    None,
    tuple(entry_of(name, data) for name, data in FILES.items()),
)


def packed(members: list[tuple[tarfile.TarInfo, bytes]], *, end: bytes = bytes(1024)) -> bytes:
    """A tar.gz of these members, whatever they are."""
    out = io.BytesIO()
    for info, data in members:
        out.write(info.tobuf(tarfile.GNU_FORMAT))
        out.write(data + bytes(-len(data) % 512))
    return gzip.compress(out.getvalue() + end, 1)


def member(name: str, data: bytes, **fields: Any) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, data


def whole(manifest: Manifest = MANIFESTED) -> list[tuple[tarfile.TarInfo, bytes]]:
    return [member(MANIFEST, manifest.encode()), *(member(*item) for item in FILES.items())]


def refused(tmp_path: Path, data: bytes) -> str:
    """Unpacking ends in `Damaged`, and nothing lies outside the folder it was given."""
    file, folder = tmp_path / "a.tar.gz", tmp_path / "inner" / "folder"
    file.write_bytes(data)
    folder.mkdir(parents=True)
    with pytest.raises(Damaged) as error:
        archive.unpack(file, folder)
    outside = [p for p in tmp_path.rglob("*") if p.is_file() and folder not in p.parents]
    assert outside == [file]
    return error.value.message


def test_what_was_put_in_comes_out(tmp_path: Path) -> None:
    """Every byte of every file, and any tar can read it."""
    file = tmp_path / "a.tar.gz"
    with file.open("wb") as out:
        archive.write(out, MANIFESTED, FILES, None)
    folder = tmp_path / "out"
    folder.mkdir()
    unpacked = archive.unpack(file, folder)
    assert unpacked.manifest == MANIFESTED == archive.manifest_of(file)
    assert {name: (folder / name).read_bytes() for name in FILES} == FILES
    with tarfile.open(file) as tar:
        assert tar.getnames() == [MANIFEST, *FILES]


def test_the_plain_form_of_the_helper_is_accepted(tmp_path: Path) -> None:
    """So that the tests below fail for what they say, and for nothing else."""
    file, folder = tmp_path / "a.tar.gz", tmp_path / "out"
    file.write_bytes(packed(whole()))
    folder.mkdir()
    assert archive.unpack(file, folder).manifest == MANIFESTED


@pytest.mark.parametrize(
    "name",
    [
        "../config.yaml", "/etc/passwd", "patches/../../x", "patches//x", "patches/./x",
        "ssh/id_ed25519", "patches/.ssh", "patches", "patches/a\nb", "spark-control.db-wal",
        "config.yaml/x", "tmp/x",
        "patches/" + "a" * 65, "patches/a/b/c/d/e/f/g", "PATCHES/x", "patches/\u00e4",
        "patches/a\\b", "backup.passphrase", "manifest.json", "",
    ],
)  # fmt: skip
def test_no_other_name_is_taken(tmp_path: Path, name: str) -> None:
    """Whatever the manifest says: only the files of a backup, under plain names."""
    assert not allowed(name)
    manifest = replace(MANIFESTED, entries=(Entry(name, 1, entry_of(name, b"x").sha256),))
    members = [member(MANIFEST, manifest.encode()), member(name or "x", b"x")]
    assert "no backup of ours has" in refused(tmp_path, packed(members))


@pytest.mark.parametrize(
    "kind",
    [
        tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE,
        tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_SPARSE, b"7",
    ],
)  # fmt: skip
def test_only_plain_files_are_taken(tmp_path: Path, kind: bytes) -> None:
    """No link, device or extension of a tar, in any place."""
    for place in (0, 1, 2):
        members = whole()
        info, data = members[place]
        info.type, info.linkname = kind, "/etc/passwd"
        members[place] = info, data
        folder = tmp_path / str(place)
        folder.mkdir()
        assert "not where" in refused(folder, packed(members))


def changed(change: Callable[[dict[str, Any]], object]) -> bytes:
    body = json.loads(MANIFESTED.encode())
    change(body)
    return json.dumps(body).encode()


@pytest.mark.parametrize(
    "data",
    [
        b"", b"{}", b"[]", b"null", b"\xff", b"[" * 100_000, b'{"app": "spark-control"}',
        changed(lambda b: b.update(format=0)), changed(lambda b: b.update(format=True)),
        changed(lambda b: b.update(format=2)), changed(lambda b: b.update(id="../x")),
        changed(lambda b: b.update(made_at="yesterday")), changed(lambda b: b.pop("files")),
        changed(lambda b: b["files"][0].update(size=-1)),
        changed(lambda b: b["files"][0].update(size=True)),
        changed(lambda b: b["files"][0].update(size=1 << 40)),
        changed(lambda b: b["files"][0].update(sha256="0")),
        changed(lambda b: b["files"].append(b["files"][0])),
        changed(lambda b: b["files"].append(
            {"name": "patches/a", "size": 1, "sha256": "0" * 64})),
        changed(lambda b: b.update(files=[b["files"][0]] * 5000)),
        changed(lambda b: b.update(schema="0001")), changed(lambda b: b.update(version="x" * 50)),
        changed(lambda b: b.update(seal={"cipher": "none"})),
        changed(lambda b: b.update(left_out="everything")),
    ],
)  # fmt: skip
def test_a_manifest_that_is_not_as_we_write_it_is_refused(data: bytes) -> None:
    """Types, bounds, a file under another one's name."""
    with pytest.raises(Damaged):
        decode(data)


@pytest.mark.parametrize("cost", [1 << 30, 1, 0, -5, "65536", None, 1.5])
def test_the_cost_of_a_passphrase_is_not_the_archives_to_choose(cost: object) -> None:
    """Else a hundred bytes could take all memory for hours."""
    seal = Seal(COST, bytes(16), bytes(12)).to_dict()
    with pytest.raises(Damaged):
        decode(changed(lambda body: body.update(seal=seal | {"cost": cost})))


def test_less_or_more_than_the_manifest_says_is_refused(tmp_path: Path) -> None:
    """Cut off, another size, another content, another order, something behind it."""
    good = whole()
    longer = [*good[:2], member("patches/a/b.diff", b"x" * 1001)]
    other = [*good[:2], member("patches/a/b.diff", b"y" * 1000)]
    cases = [
        packed(good)[:-40],
        packed(good[:2]),
        packed(longer),
        packed(other),
        packed([good[0], good[2], good[1]]),
        packed(good[1:]),
        packed([*good, member("evil", b"x")]),
        packed(good, end=bytes(1 << 20)),
        packed(good) + b"garbage",
        packed(good)[:100] + b"\0\0\0\0" + packed(good)[104:],
        b"not gzip at all",
        b"",
        gzip.compress(b""),
        gzip.compress(b"\xff" * 5000),
    ]
    for number, data in enumerate(cases):
        folder = tmp_path / str(number)
        folder.mkdir()
        refused(folder, data)


def test_a_bomb_is_left_at_its_first_byte_too_many(tmp_path: Path) -> None:
    """A gigabyte of zeros in a megabyte: nothing of it is unpacked."""
    entry = Entry(CONFIG, 1 << 30, "0" * 64)
    manifest = replace(MANIFESTED, entries=(entry,))
    info, _ = member(MANIFEST, b"")
    info.size = 1 << 30
    refused(tmp_path, packed([(info, bytes(1000))]))
    body = io.BytesIO()
    with gzip.GzipFile(fileobj=body, mode="wb", compresslevel=1) as out:
        for info, data in [member(MANIFEST, manifest.encode())]:
            out.write(info.tobuf() + data + bytes(-len(data) % 512))
    (tmp_path / "second").mkdir()
    assert "larger in it" in refused(tmp_path / "second", body.getvalue())


def test_a_sealed_part_without_a_seal_and_a_seal_without_its_part(tmp_path: Path) -> None:
    """Neither is ours."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    refused(tmp_path / "a", packed([*whole(), member(SEALED, b"x" * 40)]))
    sealed = replace(MANIFESTED, seal=Seal(COST, bytes(16), bytes(12)))
    refused(tmp_path / "b", packed(whole(sealed)))


@given(st.binary(max_size=400), st.integers(0, 3000), st.booleans())
@settings(max_examples=150, deadline=None)
def test_any_damage_is_found(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes, at: int, cut: bool
) -> None:
    """Whatever is changed in the tar: unpacking succeeds only when nothing that counts did."""
    tmp_path = tmp_path_factory.mktemp("noise")
    plain = gzip.decompress(packed(whole()))
    broken = plain[:at] if cut else plain[:at] + noise + plain[at + len(noise) :]
    file, folder = tmp_path / "a.tar.gz", tmp_path / "out"
    file.write_bytes(gzip.compress(broken, 1))
    folder.mkdir()
    try:
        unpacked = archive.unpack(file, folder)
    except Damaged:
        return
    # Modes and times of a header may be anything; names, sizes and bytes may not.
    for entry in unpacked.manifest.entries:
        assert entry_of(entry.name, (folder / entry.name).read_bytes()) == entry
