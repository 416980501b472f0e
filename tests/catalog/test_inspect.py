"""What is on the host is told truly: real files, a real sh, nothing mocked."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from server.catalog.inspect import inspect
from server.catalog.model import Model, ModelFiles, Source
from server.catalog.probe import DISCOVER, INSPECT

Make = Callable[..., Path]


def local(path: Path) -> Model:
    return Model("mine", "Mine", Source(path=str(path)))


@pytest.fixture
def place(roots: tuple[str, ...]) -> Path:
    return Path(roots[0])


async def look(shell, path: Path, roots: tuple[str, ...]) -> ModelFiles:
    return await inspect(shell, local(path), roots, None)


async def test_a_whole_model_is_complete_with_its_true_size(shell, roots, place, make_model: Make):
    """Size is the sum of the files of the index, config is the parsed config.json."""
    path = make_model(place / "mine", num_hidden_layers=3)
    files = await look(shell, path, roots)
    assert files.complete is True, files.reason
    assert files.weight_bytes == sum(f.stat().st_size for f in path.glob("*.safetensors"))
    assert files.config is not None
    assert files.config["num_hidden_layers"] == 3
    assert len(shell.ran) == 1


async def test_a_name_with_spaces_and_accents_is_one_word_all_the_way(
    shell, roots, place, make_model: Make
):
    """The path is an argument of the script, never text in it."""
    files = await look(shell, make_model(place / "my fine tüne v2"), roots)
    assert files.complete is True, files.reason


async def test_a_missing_shard_is_named(shell, roots, place, make_model: Make):
    """Every shard the index names must be there."""
    path = make_model(place / "mine")
    (path / "model-00002-of-00002.safetensors").unlink()
    files = await look(shell, path, roots)
    assert files.complete is False
    assert files.missing == ("model-00002-of-00002.safetensors",)


async def test_an_empty_or_truncated_shard_is_named(
    shell, roots, place, make_model: Make, tensors: Callable[..., bytes]
):
    """The header says how long the file is; a download that broke off is shorter."""
    path = make_model(place / "mine")
    (path / "model-00001-of-00002.safetensors").write_bytes(tensors({"a": 5000}, short=7))
    (path / "model-00002-of-00002.safetensors").write_bytes(b"")
    files = await look(shell, path, roots)
    assert files.complete is False
    assert set(files.truncated) == {
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
    }


@pytest.mark.parametrize("junk", [b"short", b"\xff" * 64, b"\0" * 8 + b"rest", b"<html>" * 40])
async def test_a_file_that_is_no_safetensors_is_not_whole(
    shell, roots, place, make_model: Make, junk: bytes
):
    """An error page saved under the name of a shard is not a shard."""
    path = make_model(place / "mine")
    (path / "model-00001-of-00002.safetensors").write_bytes(junk)
    files = await look(shell, path, roots)
    assert files.complete is False
    assert files.truncated == ("model-00001-of-00002.safetensors",)


async def test_without_an_index_the_numbers_in_the_names_count(
    shell, roots, place, make_model: Make
):
    """`model-00001-of-00002` promises a second file."""
    path = make_model(place / "mine")
    (path / "model.safetensors.index.json").unlink()
    assert (await look(shell, path, roots)).complete is True
    (path / "model-00001-of-00002.safetensors").unlink()
    assert (await look(shell, path, roots)).missing == ("model-00001-of-00002.safetensors",)


async def test_a_dangling_link_is_missing(shell, roots, place, make_model: Make):
    """A link to a blob that was deleted counts as an absent file."""
    path = make_model(place / "mine")
    (path / "tokenizer.json").unlink()
    (path / "tokenizer.json").symlink_to(place / "gone")
    assert "tokenizer.json" in (await look(shell, path, roots)).missing


async def test_a_directory_that_links_out_of_the_roots_is_refused(
    shell, roots, place, tmp_path: Path, make_model: Make
):
    """What counts is where it really lies; nothing of it is read."""
    make_model(tmp_path / "secret")
    (place / "mine").symlink_to(tmp_path / "secret")
    files = await look(shell, place / "mine", roots)
    assert files.complete is False
    assert files.config is None
    assert files.outside == (str((tmp_path / "secret").resolve()),)


async def test_a_single_file_that_links_out_of_the_roots_is_refused(
    shell, roots, place, make_model: Make
):
    """Also for config.json: its text would end on a page."""
    path = make_model(place / "mine")
    (place.parent / "private.json").write_text('{"password": "x"}')
    (path / "config.json").unlink()
    (path / "config.json").symlink_to(place.parent / "private.json")
    files = await look(shell, path, roots)
    assert files.complete is False
    assert files.config is None
    assert files.outside == ("config.json",)


async def test_an_index_cannot_name_a_file_outside(
    shell, roots, place, make_model: Make, tensors: Callable[..., bytes]
):
    """`../../x.safetensors` in weight_map is no way out."""
    path = make_model(place / "mine")
    (place.parent / "x.safetensors").write_bytes(tensors({"a": 1}))
    index = {"weight_map": {"a": "../../x.safetensors"}}
    (path / "model.safetensors.index.json").write_text(json.dumps(index))
    files = await look(shell, path, roots)
    assert files.outside == ("../../x.safetensors",)
    assert files.complete is False


async def test_hostile_file_names_run_nothing(
    shell, roots, place, make_model: Make, tensors: Callable[..., bytes]
):
    """Names of files are data: `$(touch …)` stays a name."""
    path = make_model(place / "mine")
    (path / "model.safetensors.index.json").unlink()
    for name in ["$(touch pwned)", "a;touch pwned;", "-rf", "`touch pwned`", 'it\'s "q"', "a\tb"]:
        (path / f"{name}.safetensors").write_bytes(tensors({"a": 3}))
    files = await look(shell, path, roots)
    assert files.complete is True, files.reason
    assert not list(place.parent.rglob("pwned"))


async def test_a_model_that_is_not_there_is_told_so(shell, roots, place):
    """Absent is a certain answer."""
    files = await look(shell, place / "nothing", roots)
    assert (files.found, files.complete) == (False, False)
    assert "does not exist" in files.reason


async def test_an_answer_that_breaks_off_is_unknown(shell, roots, place, make_model: Make):
    """Unknown never becomes false."""
    path = make_model(place / "mine")
    shell.sh = shutil.which("false") or "/bin/false"
    assert (await look(shell, path, roots)).complete is None


async def test_what_vllm_needs_is_asked_for(shell, roots, place, make_model: Make):
    """Weights alone do not start."""
    wanted = {"config.json": "config.json is missing", "tokenizer.json": "no tokenizer"}
    for number, (spoil, reason) in enumerate(wanted.items()):
        path = make_model(place / f"mine-{number}")
        (path / spoil).unlink()
        files = await look(shell, path, roots)
        assert files.complete is False
        assert reason in files.reason


async def test_a_config_that_is_no_json_or_a_pipe_does_not_hang(
    shell, roots, place, make_model: Make
):
    """A fifo named config.json must not stop the probe."""
    import os

    path = make_model(place / "mine")
    (path / "config.json").write_text("{")
    assert "not JSON" in (await look(shell, path, roots)).reason
    (path / "config.json").unlink()
    os.mkfifo(path / "config.json")
    assert (await look(shell, path, roots)).complete is False


def hub(home: Path, repo: str, make_model: Make, shared: bool = False) -> Path:
    """A Hugging Face cache as the hub library writes it: blobs, refs, links in the snapshot."""
    base = home / ".cache/huggingface/hub" / ("models--" + repo.replace("/", "--"))
    snapshot = base / "snapshots" / ("c" * 40)
    make_model(snapshot)
    blobs = (home / ".cache/huggingface/hub/blobs") if shared else base / "blobs"
    blobs.mkdir(parents=True, exist_ok=True)
    for number, file in enumerate(sorted(snapshot.iterdir())):
        blob = blobs / f"{number:040x}"
        file.rename(blob)
        file.symlink_to(blob if shared else Path("../../blobs") / blob.name)
    (base / "refs").mkdir()
    (base / "refs" / "main").write_text("c" * 40)
    return base


@pytest.mark.parametrize("shared", [False, True])
async def test_the_cache_of_the_hub_is_followed_to_its_blobs(shell, make_model: Make, shared: bool):
    """refs/main leads to the snapshot, also when blobs lie outside of the model's directory."""
    base = hub(shell.home, "Org/Some.Model", make_model, shared)
    files = await inspect(shell, Model("m", "m", Source(hf="Org/Some.Model")), (), None)
    assert files.complete is True, files.reason
    shards = (base / "snapshots" / ("c" * 40)).glob("*.safetensors")
    assert files.weight_bytes == sum(f.stat().st_size for f in shards)


async def test_two_names_of_one_blob_count_once(shell, make_model: Make):
    """Bytes are counted by inode."""
    base = hub(shell.home, "Org/M", make_model)
    snapshot = base / "snapshots" / ("c" * 40)
    (snapshot / "model-00002-of-00002.safetensors").unlink()
    target = (snapshot / "model-00001-of-00002.safetensors").readlink()
    (snapshot / "model-00002-of-00002.safetensors").symlink_to(target)
    files = await inspect(shell, Model("m", "m", Source(hf="Org/M")), (), None)
    assert files.weight_bytes == (snapshot / "model-00001-of-00002.safetensors").stat().st_size


async def test_an_unfinished_download_is_told(shell, make_model: Make):
    """`*.incomplete` is named; without a snapshot the model is not there."""
    base = hub(shell.home, "Org/M", make_model)
    (base / "blobs" / "abc.incomplete").write_bytes(b"x")
    model = Model("m", "m", Source(hf="Org/M"))
    assert (await inspect(shell, model, (), None)).partial == ("abc.incomplete",)
    (base / "refs" / "main").unlink()
    files = await inspect(shell, model, (), None)
    assert (files.found, files.complete) == (False, False)
    assert "not finished" in files.reason


async def test_a_repository_that_was_never_downloaded_is_absent(shell):
    """It is no error: it is downloaded at start."""
    files = await inspect(shell, Model("m", "m", Source(hf="Org/M")), (), None)
    assert (files.found, files.complete) == (False, False)
    assert "downloaded at start" in files.reason


def test_the_scripts_use_no_python_and_no_bash():
    """A Spark needs sshd and docker and nothing of ours."""
    for script in (INSPECT, DISCOVER):
        for word in ("python", "bash", "if [[", "<<<", "jq ", "awk"):
            assert word not in script
