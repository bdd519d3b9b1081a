"""TRL's trainers under the harness; what they need is in benchmarks/requirements.txt."""

from importlib.util import find_spec
from pathlib import Path
from typing import cast

import pytest
import torch

from benchmarks.peers.trl_trainers import Algorithm, Settings, TextScore, trainer
from benchmarks.sides import worker
from benchmarks.workloads import TOY, causal_lm, prompts, tokenizer

TRL = find_spec("trl")
needs_trl = pytest.mark.skipif(TRL is None, reason="no TRL")


@needs_trl
@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["ppo", "rloo", "grpo"])
def test_worker_plays_an_iteration_a_round(algorithm: Algorithm) -> None:
    if algorithm == "ppo" and not Path(str(TRL and TRL.origin)).with_name("experimental").joinpath("ppo").is_dir():
        pytest.skip("this TRL has no PPO")
    with worker("trl", TOY, algorithm=algorithm, precision="fp32") as peer:
        seconds = [peer.play() for _ in range(3)]
    assert all(0 < taken < 30 for taken in seconds)
    assert len(peer.growth) == 2
    assert peer.totals[0] > peer.growth[0] > 0


def test_steps_of_an_iteration() -> None:
    settings = Settings(new=6, episodes=8, minibatch=4, epochs=2, group=4, learning_rate=1e-3, kl_coef=0.0)
    assert settings.steps == 4


@needs_trl
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::FutureWarning")  # TRL's and accelerate's own
def test_an_iteration_draws_once_and_steps_as_often_as_ours() -> None:
    calls: list[int] = []
    settings = Settings(new=6, episodes=8, minibatch=8, epochs=2, group=4, learning_rate=1e-3, kl_coef=0.05, iterations=3)
    seen: list[int] = []

    def reward(completions: list[str], **_: object) -> list[float]:
        calls.append(len(completions))
        return [float(len(text)) for text in completions]

    model = causal_lm(TOY)
    peer = trainer("rloo", settings, model, tokenizer(4096), prompts(TOY), reward, lambda: seen.append(peer.state.global_step))
    before = model.transformer.wte.weight.clone()
    peer.train()
    assert calls == [8, 8, 8]
    assert seen == [2, 4, 6]
    assert not torch.equal(before, model.transformer.wte.weight)


def test_text_score_reads_the_text_and_stands_in_every_column() -> None:
    encoder = tokenizer(4096)
    ids = torch.tensor(encoder(["I watched it", "it"], padding=True)["input_ids"])
    scorer = TextScore(lambda prompts, completions: [float(len(text)) for text in completions], encoder)
    hidden = scorer.trunk(input_ids=ids, attention_mask=ids.ne(cast(int, encoder.pad_token_id))).hidden_states[-1]
    assert scorer.score(hidden)[..., 0].tolist() == [[12.0] * ids.shape[1], [2.0] * ids.shape[1]]
