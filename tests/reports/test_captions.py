"""Every metric that an agent reports has a caption."""

from typing import Any

import gymnasium
import pytest

from textenv.agents import AGENTS, agent_class
from textenv.models.policy import LanguagePolicy
from textenv.reports.captions import AXES, CURVES, METRICS, caption

SMALL: dict[str, Any] = {"episodes_per_update": 16}
OPTIONS: dict[str, list[dict[str, Any]]] = {
    "ppo": [
        {"group_size": 4, "minibatch_size": 8, "form": "penalty"},
        {"minibatch_size": 8, "advantage": "critic", "ptx_coef": 1.0, "ptx_corpus": "CORPUS"},
    ],
    "grpo": [{"group_size": 4, "minibatch_size": 8, "kl_in": "loss"}],
    "trpo": [{"group_size": 4, "layers": 1}],
    "online_dpo": [{"group_size": 4, "judge_temperature": 0.0}],
    "dqn": [{"top_k": 3, "minibatch_size": 8, "replay_size": 32}],
    "best_of_n": [{"n": 8}],
    "actor_critic": [{"critic": "q"}],
    "reinforce": [{"baseline": "value"}],
    "rloo": [{"group_size": 2}],
}


@pytest.mark.parametrize(("name", "options"), [(name, options) for name in AGENTS for options in OPTIONS.get(name, [{}])])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_every_metric_has_a_caption(name: str, options: dict[str, Any], precision: Any, tmp_path: Any) -> None:
    if (name, precision) in (("trpo", "bf16"), ("guided", "fp32"), ("guided", "bf16")):
        pytest.skip("TRPO computes in fp32, and guided needs an expert; its metrics are named below")
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("abc\na\ncc\nbcab")
    options = {key: corpus if value == "CORPUS" else value for key, value in options.items()}
    envs = gymnasium.make_vec("TextCopy-v0", num_envs=16)
    rules: Any = envs.unwrapped
    kind = agent_class(name)
    agent = kind(LanguagePolicy.for_rules(rules.rules, precision=precision), envs, kind.Config(**SMALL, **options))
    metrics = agent.update(agent.collect())
    assert not [key for key in metrics if key not in METRICS and key not in AXES]
    if precision == "bf16" and agent.plays_policy:
        assert "play_gap" in metrics


def test_what_guided_learning_reports_has_captions() -> None:
    assert {"taken_over", "intervention_loss", "policy_loss", "value_loss", "grad_norm"} <= set(METRICS)


def test_captions() -> None:
    assert caption("play_gap")[0] == "Play gap"
    assert caption("score_form") == ("Score: form", "part of the score, mean")
    assert caption("my_share") == ("my_share", "")
    assert list(METRICS)[CURVES - 1] == "tokens_per_second"
