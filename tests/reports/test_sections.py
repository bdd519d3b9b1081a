"""Sections of the report say what the run folder says."""

import dataclasses
import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from textenv.reports import sections
from textenv.reports.loading import LoadedRun, load_run


@pytest.fixture
def loaded(runs: list[Path]) -> list[LoadedRun]:
    return [load_run(run) for run in runs]


def changed(run: LoadedRun, **fields: Any) -> LoadedRun:
    return dataclasses.replace(run, **fields)


def test_the_summary_stands_as_it_is(loaded: list[LoadedRun]) -> None:
    rows = {row["heading"]: row["cells"] for row in sections.summary_rows([*loaded, changed(loaded[0], summary=None)])}
    assert list(rows) == ["score", "KL k1", "KL exact", "distinct-2", "perplexity"]  # and no judge, as there is none
    for i, run in enumerate(loaded):
        assert run.summary is not None
        before, after = run.summary["table"]["before"], run.summary["table"]["after"]
        scores = [f"{row['score']:.3f} ±\N{NO-BREAK SPACE}{row['score_se']:.3f}" for row in (before, after)]
        assert rows["score"][2 * i : 2 * i + 2] == scores
        perplexities = [f"{row['perplexity']:.1f} ±\N{NO-BREAK SPACE}{row['perplexity_se']:.1f}" for row in (before, after)]
        assert rows["perplexity"][2 * i : 2 * i + 2] == perplexities
    assert {cell for cells in rows.values() for cell in cells[4:]} == {"—"}
    best = {row["heading"]: row["cells"] for row in sections.summary_rows(loaded[:1], ["best of 16"])}
    assert best["KL k1"] == ["—"]
    assert best["KL exact"] == [f"{math.log(16) - 15 / 16:.2f}"]


def test_there_is_a_curve_of_every_metric_that_is_known(loaded: list[LoadedRun]) -> None:
    named = [figure["name"] for figure in sections.curve_figures(loaded)]
    assert named == [name for name, _, _ in sections.CURVES if name != "judge"]
    figures = {figure["name"]: figure["svg"] for figure in sections.curve_figures(loaded)}
    assert "var(--series-0)" in figures["entropy"]
    assert "var(--series-1)" in figures["entropy"]
    assert "var(--series-0)" not in figures["explained_variance"]  # which only the critic's has
    assert "explained_variance" not in [figure["name"] for figure in sections.curve_figures(loaded[:1])]


def test_a_judge_has_a_row_where_one_run_has_one(loaded: list[LoadedRun], watched: Path) -> None:
    rows = {row["heading"]: row["cells"] for row in sections.summary_rows([loaded[0], load_run(watched)])}
    assert rows["judge"][:2] == ["—", "—"]
    assert all("±" in cell for cell in rows["judge"][2:])


def test_every_other_metric_is_drawn_too(loaded: list[LoadedRun]) -> None:
    drawn = {figure["name"] for figure in [*sections.curve_figures(loaded), *sections.other_figures(loaded)]}
    columns: dict[str, Any] = {"<b>": [1, 2, 3], "word": ["a", "b", "c"], "nothing": np.nan}
    metrics = loaded[1].metrics.assign(my_share=[0.1, 0.2, 0.3], **columns)
    assert drawn == {name for name in loaded[1].metrics.select_dtypes("number") if name not in ("update", "episodes", "seconds")}
    others = sections.other_figures([loaded[0], changed(loaded[1], metrics=metrics)])
    added = [(figure["name"], figure["heading"]) for figure in others if figure["name"] not in drawn]
    assert added == [("my_share", "my_share"), ("<b>", "<b>")]
    ids = [text for figure in others for text in re.findall(r'id="([^"]+)"', figure["svg"])]
    assert len(ids) == len(set(ids))


def test_evaluations_stand_before_and_after_the_updates(loaded: list[LoadedRun]) -> None:
    run = loaded[0]
    judged = run.episodes.assign(
        judge=np.where(run.episodes["phase"] == "after", 0.75, np.where(run.episodes["phase"] == "before", 0.5, np.nan))
    )
    (judge,) = sections._lines(3, changed(run, episodes=judged), "judge")
    assert (judge.style, list(np.asarray(judge.x)), list(np.asarray(judge.y)), list(np.asarray(judge.error))) == (
        3,
        [0, 48],
        [0.5, 0.75],
        [0, 0],
    )
    line, score = sections._lines(0, run, "score")
    assert line.error is None
    assert np.asarray(line.x).tolist() == [16, 32, 48]
    assert run.summary is not None
    table = run.summary["table"]
    assert np.asarray(score.y).tolist() == pytest.approx([table["before"]["score"], table["after"]["score"]])
    assert score.error is not None
    assert np.asarray(score.error).tolist() == pytest.approx([table["before"]["score_se"], table["after"]["score_se"]])


def test_pairs_are_of_one_prompt(loaded: list[LoadedRun]) -> None:
    run = loaded[0]
    pairs = sections.prompt_pairs(run, 3)
    assert len(pairs) == 3
    assert len({pair["prompt"] for pair in pairs}) == 3
    for pair, row in zip(pairs, (0, 16, 32), strict=True):
        for phase in ("before", "after"):
            episode = run.episodes[run.episodes["phase"] == phase].iloc[row]
            assert (pair["prompt"], pair[phase]["completion"]) == (episode["prompt"], episode["completion"])
            assert pair[phase]["facts"][0] == f"score {episode['score']:.3f}"
    assert len(sections.prompt_pairs(run)) == 4
    assert sections.prompt_pairs(changed(run, episodes=run.episodes[run.episodes["phase"] != "after"])) == []


def test_extremes_are_the_best_the_median_and_the_worst(loaded: list[LoadedRun]) -> None:
    run = loaded[0]
    texts = [f"text {i}" for i in range(9)]
    after = run.episodes[run.episodes["phase"] == "after"].head(9).assign(score=[4.0, 0, 8, 1, 7, 2, 6, 3, 5], completion=texts)
    found = sections.extremes(changed(run, episodes=after), 2)
    names = {name: [text["completion"] for text in chosen] for name, chosen in found.items()}
    assert names == {"best": ["text 2", "text 4"], "median": ["text 8", "text 0"], "worst": ["text 3", "text 1"]}
    assert found["best"][0]["facts"][0] == "score 8.000"
    assert sections.extremes(changed(run, episodes=after.head(0))) == {}


def test_a_token_has_its_numbers_and_its_colours(loaded: list[LoadedRun]) -> None:
    maps = sections.token_maps(loaded, 5)
    assert [len(episodes) for episodes in maps["runs"]] == [5, 5]
    assert maps["scales"]["log_ratio"] > 0
    for run, episodes in zip(loaded, maps["runs"], strict=True):
        last = run.episodes.query("phase == 'train' and update == 3").sort_values("score", kind="stable")
        assert episodes[0]["completion"] == last["completion"].iloc[0]
        assert episodes[-1]["completion"] == last["completion"].iloc[-1]
        tokens = run.tokens.query("phase == 'train'")
        shown = tokens[tokens["episode"] == last["episode"].iloc[0]].to_dict("records")
        assert len(shown) == len(episodes[0]["tokens"])
        for token, row in zip(episodes[0]["tokens"], shown, strict=True):
            assert (token["id"], token["text"]) == (row["token"], row["text"])
            assert [float(fact) for fact in token["facts"]] == pytest.approx([row[name] for name in sections.FACTS], rel=1e-5)
            for name, scale in maps["scales"].items():
                expected = min(max(row[name] / scale, -1), 1) if scale else 0
                assert token["weights"][name] == pytest.approx(expected)
        ends = [[token["end"] for token in episode["tokens"]] for episode in episodes]
        assert [any(end) for end in ends] == ["ended by eos" in episode["facts"] for episode in episodes]
        assert not any(any(end[:-1]) for end in ends)


def test_what_is_not_known_of_a_token_is_neutral(loaded: list[LoadedRun]) -> None:
    unknown = changed(loaded[0], tokens=loaded[0].tokens.assign(advantage=np.nan))
    maps = sections.token_maps([unknown])
    assert math.isnan(maps["scales"]["advantage"])
    token = maps["runs"][0][0]["tokens"][0]
    assert token["facts"][sections.FACTS.index("advantage")] == "—"
    assert token["weights"]["advantage"] == 0
    nothing = sections.token_maps([changed(loaded[0], episodes=loaded[0].episodes.head(0), tokens=loaded[0].tokens.head(0))])
    assert nothing["runs"] == [[]]


def test_settings_that_differ_come_first(loaded: list[LoadedRun]) -> None:
    rows = sections.config_rows(loaded)
    assert [row["name"] for row in rows if row["differs"]] == ["out", "algorithm.advantage"]
    assert [row["name"] for row in rows[:2]] == ["out", "algorithm.advantage"]
    cells = {row["name"]: row["cells"] for row in rows}
    assert cells["algorithm.advantage"] == ["leave_one_out", "critic"]
    assert cells["algorithm.clip_range"] == ["0.2", "0.2"]
    assert cells["model"] == ["null", "null"]
    assert cells["versions.textenv"] == [loaded[0].config["versions"]["textenv"]] * 2
    fewer = changed(loaded[1], config={"env": "TextCopy-v0"})
    assert {row["name"]: row["cells"] for row in sections.config_rows([loaded[0], fewer])}["seed"] == ["0", "—"]
    assert not any(row["differs"] for row in sections.config_rows(loaded[:1]))
    json.dumps(rows)


def test_alarms_are_told_with_their_update(loaded: list[LoadedRun]) -> None:
    metrics = pd.DataFrame({"update": [1, 2, 3], "alarm": [np.nan, "entropy fell", np.nan]})
    assert sections.alarms(changed(loaded[0], metrics=metrics)) == [(2, "entropy fell")]
    assert sections.alarms(changed(loaded[0], metrics=metrics[["update"]])) == []


def test_alarms_of_evaluations_stand_among_the_others(watched: Path) -> None:
    run = load_run(watched)
    told = run.evaluations.assign(alarm=[np.nan, np.nan, "over-optimisation", np.nan])
    metrics = pd.DataFrame({"update": [1, 2, 3], "alarm": ["entropy fell", np.nan, "entropy fell"]})
    assert sections.alarms(changed(run, metrics=metrics, evaluations=told)) == [
        (1, "entropy fell"),
        (2, "over-optimisation"),
        (3, "entropy fell"),
    ]


def test_evaluations_during_training_stand_among_the_curves(watched: Path) -> None:
    run = load_run(watched)
    (judge,) = sections._lines(0, run, "judge")
    assert np.asarray(judge.x).tolist() == [0, 0, 16, 32, 48, 48]
    assert set(run.evaluations["judge"]) < set(np.asarray(judge.y).tolist())


def test_the_plane_shows_the_runs_that_a_judge_has_seen(watched: Path, loaded: list[LoadedRun]) -> None:
    svg = sections.proxy_and_judge([*loaded, load_run(watched)])
    assert svg is not None
    assert "var(--series-2)" in svg
    assert "var(--series-0)" not in svg
    assert sections.proxy_and_judge(loaded) is None
    unjudged = load_run(watched)
    assert sections.proxy_and_judge([changed(unjudged, evaluations=unjudged.evaluations.drop(columns="judge"))]) is None
