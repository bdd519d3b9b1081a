"""What the README shows runs, and what it lists exists."""

import json
import re
from pathlib import Path

from textenv.envs.registry import BUILT_IN

README = (Path(__file__).parent.parent / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


def test_the_first_example_is_short_and_runs() -> None:
    assert len(BLOCKS[0].strip().splitlines()) <= 10
    names: dict[str, object] = {}
    exec(compile(BLOCKS[0], "README.md", "exec"), names)
    assert names["terminated"] is True
    info = names["info"]
    assert isinstance(info, dict)
    assert 0 <= info["score"] <= 1


def test_the_other_examples_run() -> None:
    for block in BLOCKS[1:]:
        exec(compile(block, "README.md", "exec"), {})


def test_the_table_lists_every_id() -> None:
    assert set(re.findall(r"^\| `(\w+-v\d+)` \|", README, flags=re.MULTILINE)) == set(BUILT_IN)


def test_the_two_commands_exist() -> None:
    makefile = (Path(__file__).parent.parent / "Makefile").read_text()
    for command in ("demo", "test"):
        assert f"make {command}" in README
        assert re.search(rf"^{command}:", makefile, flags=re.MULTILINE)


def test_numbers_are_those_of_the_results() -> None:
    results = Path(__file__).parent.parent / "benchmarks" / "results"
    runs = json.loads((results / "text_sentiment.json").read_text())["runs"]
    for policy in ("before", "after"):
        scores = [run["table"][policy]["score"] for run in runs]
        assert f"| {policy} | {sum(scores) / len(scores):.3f} ({min(scores):.3f} to {max(scores):.3f}) |" in README
    rows = json.loads((results / "regret.json").read_text())["rows"]
    shares = [run["share"] for run in rows["ppo, clip"]["TextCopy-v0"]["runs"]]
    assert f"{min(shares):.3f} to {max(shares):.3f}" in README


CLASSIFIED = ("accuracy_whole", "calibration_error_whole", "accuracy_fragments", "calibration_error_fragments")
TOXICITY = ("auc_sentences", "auc_posts", "auc_comments_majority", "film_false_alarms", "contrast_all")


def test_numbers_are_those_of_the_cards() -> None:
    assets = Path(__file__).parent.parent / "textenv" / "assets"
    for name, keys in {
        "tiny-en": ("bits_per_byte",),
        "tiny-sentiment": CLASSIFIED,
        "tiny-sentiment-judge": CLASSIFIED,
        "tiny-base": ("bits_per_byte",),
        "tiny-zh": ("bits_per_byte", "nats_per_token"),
        "tiny-sentiment-zh": ("accuracy_whole", "accuracy_fragments", "calibration_error_fragments"),
        "tiny-sentiment-zh-judge": ("accuracy_whole", "accuracy_fragments", "calibration_error_fragments"),
        "tiny-profanity": CLASSIFIED,
        "tiny-profanity-judge": CLASSIFIED,
        "tiny-toxicity": (*CLASSIFIED, *TOXICITY),
        "tiny-toxicity-judge": (*CLASSIFIED, *TOXICITY),
    }.items():
        row = next(line for line in README.splitlines() if line.startswith(f"| `{name}` |"))
        metrics = json.loads((assets / name / "metrics.json").read_text())
        assert all(f"{metrics[key]:.3f}" in row for key in keys)
    shares = json.loads((assets / "tiny-assistant" / "metrics.json").read_text()).values()
    assert f"{min(shares):.3f} to {max(shares):.3f} of the exercises" in README
