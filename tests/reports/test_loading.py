"""A run folder reads back as tidy tables, whole or in pieces."""

import json
import re
import shutil
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import textenv
from textenv.errors import LoadError
from textenv.reports.loading import LoadedRun, load_run

EPISODE = "phase update episode prompt_index prompt completion finish_reason score length reward judge kl_k1 kl_k2 kl_k3 kl_exact"
TOKEN = "phase update episode t token text log_prob ref_log_prob log_ratio value reward advantage"


@pytest.fixture
def run(runs: list[Path], tmp_path: Path) -> Path:
    """Copy a run, to be damaged."""
    return Path(shutil.copytree(runs[1], tmp_path / "run"))


def counts(loaded: LoadedRun) -> dict[tuple[str, int], int]:
    """Count the episodes of each phase and update."""
    return Counter(zip(loaded.episodes["phase"], loaded.episodes["update"], strict=True))


def test_a_run_is_three_tidy_tables(runs: list[Path]) -> None:
    loaded = textenv.load_run(str(runs[1]))
    assert loaded.folder == runs[1]
    assert loaded.config["algorithm"]["advantage"] == "critic"
    assert loaded.summary is not None
    assert loaded.summary["episodes"] == 48
    assert loaded.metrics["update"].tolist() == [1, 2, 3]
    assert list(loaded.episodes) == EPISODE.split()
    assert list(loaded.tokens) == TOKEN.split()
    assert counts(loaded) == {("before", 0): 64, ("train", 1): 16, ("train", 2): 16, ("train", 3): 16, ("after", 3): 64}
    for _, rows in loaded.episodes.groupby("phase", observed=True):
        assert rows["episode"].tolist() == list(range(len(rows)))
    assert loaded.episodes["length"].sum() == len(loaded.tokens)
    after, table = loaded.episodes[loaded.episodes["phase"] == "after"], loaded.summary["table"]["after"]
    for name in ("score", "kl_k1", "kl_k2", "kl_k3", "kl_exact", "length"):
        assert after[name].mean() == pytest.approx(table[name])
    train = loaded.episodes[loaded.episodes["phase"] == "train"].groupby("update")
    for name in ("score", "kl_k1", "length"):
        assert train[name].mean().tolist() == pytest.approx(loaded.metrics[name].tolist(), abs=1e-6)


def test_a_token_is_where_it_was_written(runs: list[Path]) -> None:
    loaded = load_run(runs[1])
    part = pd.read_parquet(runs[1] / "episodes" / "part-00002.parquet")
    tokens = loaded.tokens[(loaded.tokens["phase"] == "train") & (loaded.tokens["update"] == 2)]
    assert tokens["episode"].unique().tolist() == list(range(16, 32))
    names = {"tokens": "token", "pieces": "text", "log_probs": "log_prob", "ref_log_probs": "ref_log_prob", "advantages": "advantage"}
    for row, (_, episode) in zip(range(16), tokens.groupby("episode"), strict=True):
        assert episode["t"].tolist() == list(range(part["length"][row]))
        for plural, name in {**names, "values": "value", "rewards": "reward"}.items():
            assert episode[name].tolist() == part[plural][row].tolist()
    assert (tokens["log_ratio"] == tokens["log_prob"] - tokens["ref_log_prob"]).all()
    assert tokens["log_ratio"].abs().max() > 0.001
    assert loaded.tokens.loc[loaded.tokens["phase"] != "train", "advantage"].isna().all()


def test_the_reward_of_an_episode_is_what_was_paid(runs: list[Path], tmp_path: Path) -> None:
    loaded = load_run(runs[0])
    assert loaded.episodes["reward"].tolist() == pytest.approx(loaded.episodes["score"].tolist(), abs=1e-6)
    assert loaded.episodes["judge"].isna().all()
    run = Path(shutil.copytree(runs[0], tmp_path / "run"))
    file = run / "episodes" / "part-00001.parquet"
    frame = pd.read_parquet(file)
    frame["rewards"] = [[0.5] * n for n in frame["length"]]
    frame.drop(columns="ref_log_probs").to_parquet(file)
    first = load_run(run).episodes.query("phase == 'train' and update == 1")
    assert first["reward"].tolist() == [0.5 * n for n in frame["length"]]
    assert first["kl_k1"].isna().all()  # not 0: the reference has not been asked


def test_what_is_unfinished_reads_as_far_as_it_goes(run: Path) -> None:
    (run / "summary.json").unlink()
    (run / "evaluation" / "after.parquet").unlink()
    (run / "evaluation" / "after.tmp").write_bytes(b"PAR1")
    for name in ("part-00004.parquet.tmp", "part-00004.tmp.parquet"):
        (run / "episodes" / name).write_bytes(b"PAR1")
    loaded = load_run(run)
    assert loaded.summary is None
    assert counts(loaded) == {("before", 0): 64, ("train", 1): 16, ("train", 2): 16, ("train", 3): 16}


def test_an_update_needs_its_metrics_and_its_part(run: Path) -> None:
    shutil.copy(run / "episodes" / "part-00003.parquet", run / "episodes" / "part-00004.parquet")
    assert load_run(run).episodes["update"].max() == 3
    (run / "episodes" / "part-00003.parquet").unlink()
    loaded = load_run(run)
    assert loaded.metrics["update"].tolist() == [1, 2]
    assert counts(loaded)["train", 2] == 16
    assert ("train", 3) not in counts(loaded)


def test_a_line_of_metrics_that_is_cut_off_does_not_count(run: Path) -> None:
    shutil.rmtree(run / "checkpoint")  # it is written after the lines that it counts
    text = (run / "metrics.csv").read_text()
    (run / "metrics.csv").write_text(text[: text.rstrip().rfind(",") - 20])
    loaded = load_run(run)
    assert loaded.metrics["update"].tolist() == [1, 2]
    assert loaded.metrics["tokens_per_second"].notna().all()


def test_a_run_that_has_just_begun_has_empty_tables(run: Path) -> None:
    for name in ("metrics.csv", "summary.json"):
        (run / name).unlink()
    for name in ("episodes", "evaluation", "checkpoint"):
        shutil.rmtree(run / name)
    loaded = load_run(run)
    assert (len(loaded.metrics), len(loaded.episodes), len(loaded.tokens)) == (0, 0, 0)
    assert list(loaded.episodes) == EPISODE.split()
    assert list(loaded.tokens) == TOKEN.split()


def test_what_is_no_run_is_named(run: Path, tmp_path: Path) -> None:
    with pytest.raises(LoadError, match=r"nothing is no run: it holds no config\.json; name a folder that `textenv train` wrote\.$"):
        load_run(tmp_path / "nothing")
    part = run / "episodes" / "part-00002.parquet"
    whole = part.read_bytes()
    part.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(LoadError, match=r"part-00002\.parquet cannot be read as parquet: .*; it may be cut off\.$"):
        load_run(run)
    pd.DataFrame({"a": [1]}).to_parquet(part)
    with pytest.raises(LoadError, match=r'part-00002\.parquet holds no episodes of a run: it lacks the column "update"\.$'):
        load_run(run)
    part.write_bytes(whole)
    frame = pd.read_parquet(part)
    frame["values"] = [values[1:] for values in frame["values"]]
    frame.to_parquet(part)
    with pytest.raises(LoadError, match=r'part-00002\.parquet holds no episodes of a run: its lists "values" are not as long'):
        load_run(run)
    frame.assign(values=1.0).to_parquet(part)
    with pytest.raises(LoadError, match=r'part-00002\.parquet holds no episodes of a run: its lists "values" are not as long'):
        load_run(run)
    (run / "metrics.csv").write_text("a,b\n1,2\n")
    with pytest.raises(LoadError, match=r'metrics\.csv holds no metrics of a run: it lacks the column "update"\.$'):
        load_run(run)
    (run / "metrics.csv").write_text("update\nfirst\n")
    with pytest.raises(LoadError, match=r"metrics\.csv cannot be read as the metrics of a run: .*\.$"):
        load_run(run)


@pytest.mark.parametrize("name", ["config.json", "summary.json"])
def test_broken_json_is_named(name: str, run: Path) -> None:
    (run / name).write_text('{"env": ')
    with pytest.raises(LoadError, match=rf"{name} cannot be read as JSON: .*; restore it from a copy\.$"):
        load_run(run)
    (run / name).write_text("[1]")
    with pytest.raises(LoadError, match=rf"{name} holds no configuration or summary of a run but list; restore it from a copy\.$"):
        load_run(run)


def test_a_quarter_of_a_million_tokens_load_at_once(tmp_path: Path) -> None:
    n, length, updates = 512, 24, 20
    by_token = [[0.5] * length] * n
    frame = pd.DataFrame(
        {"prompt_index": np.arange(n), "prompt": "a", "completion": "b", "finish_reason": "eos", "score": 0.1, "length": length}
        | {"pieces": [["b"] * length] * n, "tokens": [[1] * length] * n, "log_probs": by_token, "values": by_token, "rewards": by_token}
    )
    (tmp_path / "episodes").mkdir()
    (tmp_path / "config.json").write_text("{}")
    pd.DataFrame({"update": range(1, updates + 1)}).to_csv(tmp_path / "metrics.csv", index=False)
    for update in range(1, updates + 1):
        frame.assign(update=update).to_parquet(tmp_path / "episodes" / f"part-{update:05d}.parquet")
    started = time.process_time()
    loaded = load_run(tmp_path)
    assert time.process_time() - started < 3
    assert json.loads(loaded.tokens["t"].value_counts().to_json()) == {str(t): n * updates for t in range(length)}


def test_evaluations_during_training_are_a_table(watched: Path, runs: list[Path], tmp_path: Path) -> None:
    found = load_run(watched).evaluations
    assert found["update"].tolist() == [0, 1, 2, 3]
    assert found["episodes"].tolist() == [0, 16, 32, 48]
    assert found["n"].tolist() == [16] * 4
    assert (found[["judge", "judge_se", "score_se"]] > 0).all(axis=None)
    assert (found["kl_exact"] > 0).tolist() == [False, True, True, True]
    assert load_run(runs[0]).evaluations.empty
    killed = Path(shutil.copytree(watched, tmp_path / "killed"))
    (killed / "episodes" / "part-00003.parquet").unlink()
    with (killed / "evaluations.csv").open("a") as file:
        file.write("4,64")
    pd.testing.assert_frame_equal(load_run(killed).evaluations, found.head(3))
    (killed / "evaluations.csv").write_text("a,b\n1,2\n")
    with pytest.raises(LoadError, match=r'evaluations\.csv holds no evaluations of a run: it lacks the column "update"'):
        load_run(killed)


def test_a_run_is_shown_in_a_few_lines(runs: list[Path], watched: Path, tmp_path: Path) -> None:
    lines = repr(load_run(watched)).splitlines()
    assert lines[:4] == ["LoadedRun", f"  folder: {watched}", "  env: TextCopy-v0", "  agent: ppo, seed 0"]
    assert len(lines) <= 12
    assert "  episodes: 64 before, 48 train, 64 after" in lines
    assert any(re.fullmatch(r"  score: 0\.\d{3} before, 0\.\d{3} after", line) for line in lines)
    run = Path(shutil.copytree(runs[0], tmp_path / "<b>"))
    for name in ("summary.json", "metrics.csv"):
        (run / name).unlink()
    shutil.rmtree(run / "checkpoint")
    shown = load_run(run)
    assert "finished: no" in repr(shown)
    assert "&lt;b&gt;" in shown._repr_html_()
    assert "<b>" not in shown._repr_html_()


@pytest.mark.parametrize("missing", [[1], [2], [1, 2], [1, 2, 3]])
def test_a_part_may_be_missing_at_the_end_alone(missing: list[int], run: Path) -> None:
    for update in missing:
        (run / "episodes" / f"part-{update:05d}.parquet").unlink()
    with pytest.raises(LoadError, match=rf"part-0000{missing[0]}\.parquet is missing, but metrics\.csv holds its update"):
        load_run(run)
