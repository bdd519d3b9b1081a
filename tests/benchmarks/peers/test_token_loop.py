"""RL4LMs' loop re-created."""

import torch

from benchmarks.peers.token_loop import TokenEnv, TokenLoop
from benchmarks.workloads import TOY, tokenizer


def test_environment_reads_its_text_again_at_every_token() -> None:
    env = TokenEnv(tokenizer(4096), prompt_columns=4, response_columns=2)
    first = env.reset("I watched")
    word = tokenizer(4096)(" it")["input_ids"]
    second, reward, done, _ = env.step(word[0])
    assert (reward, done) == (0.0, False)
    assert first["action_history"] == []
    assert second["context_ids"][0, -1] == word[0]
    assert env.step(word[0])[1:3] == (1.0, True)


def test_loop_plays_and_learns_every_token() -> None:
    loop = TokenLoop(TOY)
    assert loop.rollout() == TOY.episodes * TOY.new
    assert loop.written.shape == (TOY.episodes, TOY.prompt + TOY.new)
    before = [parameter.clone() for parameter in (*loop.policy.parameters(), *loop.critic.parameters())]
    assert loop.learn() == TOY.episodes
    after = [*loop.policy.parameters(), *loop.critic.parameters()]
    assert any(not torch.equal(old, new) for old, new in zip(before, after, strict=True))
    assert all(torch.equal(old, new) for old, new in zip(loop.reference.parameters(), before, strict=False))
