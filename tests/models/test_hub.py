"""Names become places, and a hub that does not answer is noticed at once."""

import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants

from textenv.errors import ArgumentError, LoadError
from textenv.models.contract import contract_of
from textenv.models.hub import ASSETS, REACH_SECONDS, cached_by_files, embedded_names, files_of, hub_is_reachable, locate, require_hub
from textenv.models.loading import load_causal_lm, load_tokenizer
from textenv.models.policy import LanguagePolicy
from textenv.models.scalar_head import load_scalar_model
from textenv.rewards import load_reward


@pytest.fixture
def online(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """As for a user who is online and has no proxy; the endpoint is set by the test."""
    for name in ("HF_HUB_OFFLINE", *(f"{scheme}_proxy" for scheme in ("http", "https", "all", "no"))):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    return monkeypatch


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def address(server: socket.socket) -> str:
    return f"http://127.0.0.1:{server.getsockname()[1]}"


def test_an_endpoint_that_answers(online: pytest.MonkeyPatch, listener: socket.socket) -> None:
    online.setattr(constants, "ENDPOINT", address(listener))
    assert hub_is_reachable()
    require_hub("somebody/something", "model")


def test_offline_mode_is_kept(online: pytest.MonkeyPatch, listener: socket.socket) -> None:
    online.setattr(constants, "ENDPOINT", address(listener))
    online.setenv("HF_HUB_OFFLINE", "1")
    assert not hub_is_reachable()


def test_a_proxy_is_asked_in_place_of_the_hub(online: pytest.MonkeyPatch, listener: socket.socket) -> None:
    online.setattr(constants, "ENDPOINT", "https://hub.invalid")
    assert not hub_is_reachable()
    online.setenv("HTTPS_PROXY", address(listener))
    assert hub_is_reachable()
    online.setenv("HTTPS_PROXY", address(listener).removeprefix("http://"))
    assert hub_is_reachable()
    online.setenv("NO_PROXY", "hub.invalid")
    assert not hub_is_reachable()


def test_a_refused_connection_is_told_at_once(online: pytest.MonkeyPatch, listener: socket.socket) -> None:
    online.setattr(constants, "ENDPOINT", address(listener))
    listener.close()
    started = time.perf_counter()
    with pytest.raises(LoadError, match='"tiny-embd" is no embedded model and no local path, and the Hugging Face hub cannot be reached'):
        locate("tiny-embd")
    assert time.perf_counter() - started < REACH_SECONDS


def test_a_hub_that_never_answers_is_given_up(online: pytest.MonkeyPatch) -> None:
    # A full backlog drops every further connection, as a firewall does.
    waiting: list[socket.socket] = []
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        online.setattr(constants, "ENDPOINT", address(server))
        for _ in range(4):
            waiting.append(socket.socket())
            waiting[-1].setblocking(False)
            waiting[-1].connect_ex(server.getsockname())
        started = time.perf_counter()
        reached = hub_is_reachable()
        seconds = time.perf_counter() - started
        for client in waiting:
            client.close()
    assert not reached
    assert REACH_SECONDS - 0.1 < seconds < 3


def test_embedded_names_are_found_first() -> None:
    names = embedded_names()
    assert "tiny-embed" in names
    assert names == sorted(set(names))
    for name in names:
        assert locate(name) == str(ASSETS / name)


def test_local_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model").mkdir()
    assert locate(tmp_path / "model") == str(tmp_path / "model")
    monkeypatch.chdir(tmp_path)
    assert locate("model") == locate(Path("model")) == "model"


def test_a_run_is_its_model(tmp_path: Path) -> None:
    run, model = tmp_path / "run", tmp_path / "run" / "model"
    run.mkdir()
    (run / "config.json").write_text('{"model": "tiny-en", "versions": {}}')
    with pytest.raises(LoadError, match=f"The run {run} has no model yet; finish its training first"):
        locate(run)
    model.mkdir()
    (model / "config.json").write_text('{"model_type": "gpt2"}')
    assert locate(run) == locate(str(run)) == str(model)
    assert locate(model) == str(model)
    for config in ("{", "[1]"):  # a run's configuration is not what makes it one
        (run / "config.json").write_text(config)
        assert locate(run) == str(model)
    (run / "config.json").write_text('{"model_type": "gpt2"}')
    assert locate(run) == str(run)  # a model with a folder of that name
    (run / "config.json").unlink()
    (run / "modules.json").write_text("[]")
    assert locate(run) == str(run)


@pytest.mark.parametrize("name", ["./nowhere", "/nowhere/model", "~/nowhere", "a/b/c", Path("nowhere")])
def test_missing_folders_are_not_looked_for_on_the_hub(name: str | Path) -> None:
    with pytest.raises(LoadError, match=f"There is no folder {name}"):
        locate(name)


@pytest.mark.parametrize("name", ["tiny embed", "a..b/c", "-tiny"])
def test_names_that_the_hub_cannot_have(name: str) -> None:
    with pytest.raises(LoadError, match=f'"{name}" is no embedded model, no local path and no hub id'):
        locate(name)


def test_what_is_cached_needs_no_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = tmp_path / "models--somebody--something"
    snapshot = repository / "snapshots" / "0123abcd"
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0123abcd")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    assert locate("somebody/something") == "somebody/something"
    with pytest.raises(LoadError, match='"somebody/other" is no embedded reward'):
        locate("somebody/other", "reward")


def test_the_error_can_be_chosen() -> None:
    with pytest.raises(ArgumentError, match='"squad" is no embedded data set'):
        require_hub("squad", "data set", ArgumentError)


def test_what_was_loaded_stays_until_a_file_changes(tmp_path: Path) -> None:
    calls: list[tuple[str, str]] = []

    @cached_by_files
    def load(name: str, kind: str = "model") -> list[str]:
        calls.append((name, kind))
        return [file.name for file in Path(name).rglob("*")]

    (tmp_path / "inner").mkdir()
    (tmp_path / "modules.json").write_text('[{"path": "inner"}]')
    weights, name = tmp_path / "inner" / "weights.bin", str(tmp_path)
    weights.write_bytes(b"one")
    first = load(name)
    assert load(name) is first
    assert load(name, kind="other") is not first
    weights.write_bytes(b"three")
    second = load(name)
    assert second is not first
    assert load(name) is second
    os.utime(weights, ns=(0, 0))  # of the same size
    assert load(name) is not second
    (tmp_path / "config.json").write_text("{}")
    assert "config.json" in load(name)
    assert len(calls) == 5
    assert load("tiny-en") is load("tiny-en")


def test_what_is_near_is_of_the_kind_that_was_asked_for() -> None:
    assert embedded_names("model") == ["tiny-assistant", "tiny-base", "tiny-en", "tiny-zh"]
    assert {"tiny-sentiment", "tiny-toxicity-judge"} <= set(embedded_names("reward")) <= set(embedded_names())
    assert not set(embedded_names("reward")) & {*embedded_names("model"), "tiny-embed"}


NAMES: dict[str, str] = {
    "long": "x" * 10_000,
    "long and local": "./" + "y" * 10_000,
    "deep": "a/" * 3000,
    "a zero": "a\0b",
    "half a character": "\ud800",
    "a link to itself": "./loop",
    "a pipe": "./pipe",
    "a device": "/dev/zero",
    "above": "../..",
    "the root": "/",
    "what the kernel makes": "/proc",
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES.keys())
@pytest.mark.parametrize(
    "load", [load_reward, load_tokenizer, load_causal_lm, load_scalar_model, contract_of, LanguagePolicy.from_pretrained]
)
def test_a_name_of_nothing_is_refused_in_a_sentence(
    name: str, load: Callable[[str], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "a" / "b" / "pipe")
    monkeypatch.chdir(tmp_path / "a" / "b")
    before = time.monotonic()
    with pytest.raises(LoadError) as caught:
        load(name)
    assert len(str(caught.value)) < 450
    assert time.monotonic() - before < 2


def test_what_may_not_be_looked_at_is_said(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(LoadError, match=r"loop cannot be looked at: Too many levels of symbolic links\.$"):
        locate(tmp_path / "loop")


def test_a_folder_is_looked_at_for_the_files_of_a_model(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    for place in ("", "1_Pooling", "2_Router/query", "additional_chat_templates", "photos/2025", "../outside"):
        (folder / place).mkdir(parents=True, exist_ok=True)
        (folder / place / "file").write_text("x")
    (folder / "link").symlink_to("nowhere")
    os.mkfifo(folder / "pipe")
    own = ["additional_chat_templates/file", "file"]
    assert [str(Path(file).relative_to(folder)) for file, *_ in files_of(str(folder))] == own
    paths: list[Any] = ["", ".", "1_Pooling", "2_Router", "..", "../outside", "photos/../../outside", str(tmp_path / "outside"), 5, ["x"]]
    (folder / "modules.json").write_text(json.dumps([*({"path": path} for path in paths), {}, "x", None]))
    named = ["1_Pooling/file", "2_Router/query/file", *own, "modules.json"]
    assert [str(Path(file).relative_to(folder)) for file, *_ in files_of(str(folder))] == named
