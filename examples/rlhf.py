"""From judgements to a trained model: SFT, comparisons, a reward model, PPO at three KL coefficients, PPO-ptx, DPO, and who wins.

A simulated annotator judges by tiny-sentiment, noisily; the trained models are held against each other by a classifier that has seen
neither. Everything is what one would type.

Run: python examples/rlhf.py [folder] [quick]
"""

import json
import shlex
import sys
import time
from pathlib import Path

import gymnasium

import textenv
from textenv.cli import main

ENV, ANNOTATOR, JUDGE = "TextSentiment-v0", "tiny-sentiment", "tiny-sentiment-judge"
PPO = "frontier/runs/beta-0.1-seed-0"


def run(line: str) -> None:
    print(f"\n$ textenv {line}", flush=True)
    started = time.perf_counter()
    main(shlex.split(line))
    print(f"({time.perf_counter() - started:.0f} s)", flush=True)


def write_texts(out: Path, episodes: int) -> None:
    """What people would write and what a model was pretrained on, played by tiny-en: good continuations, and any."""
    envs = gymnasium.make_vec(ENV, num_envs=256)
    played = textenv.collect(textenv.LanguagePolicy.from_pretrained("tiny-en"), envs, episodes, seed=0)
    texts = list(zip(played.prompts, played.completions, played.scores.tolist(), strict=True))
    good = [{"prompt": prompt, "response": completion} for prompt, completion, score in texts[: episodes // 3 * 2] if score > 0.8]
    (out / "demonstrations.jsonl").write_text("".join(json.dumps(row) + "\n" for row in good))
    (out / "corpus.jsonl").write_text("".join(json.dumps({"prompt": p, "response": c}) + "\n" for p, c, _ in texts[episodes // 3 * 2 :]))


if __name__ == "__main__":
    out = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/rlhf")
    out.mkdir(parents=True, exist_ok=True)
    full = (6144, 10, 200, 1536, 16, 512)
    played, rounds, prompts, episodes, measured, duels = (768, 1, 24, 128, 2, 32) if sys.argv[2:] == ["quick"] else full
    write_texts(out, played)
    run(f"sft {out}/demonstrations.jsonl --max-new-tokens 24 --batch-size 4 --out {out}/sft")
    for seed in range(rounds):
        run(f"compare {out}/sft {ENV} --responses 4 --prompts {prompts} --seed {seed} --out {out}/comparisons.db")
    run(f"label {out}/comparisons.db --simulate {ANNOTATOR} --noise 0.1")
    run(f"reward {out}/comparisons.db --model {out}/sft --epochs 1 --batch-size 8 --out {out}/reward")
    learn = f"{ENV} --model {out}/sft --reward {out}/reward --episodes {episodes} --eval-prompts {measured}"
    run(f"frontier {learn} --betas 0.1 0.2 0.4 --seeds 1 --out {out}/frontier")
    run(f"train {learn} --kl-coef 0.1 --ptx-coef 0.2 --ptx-corpus {out}/corpus.jsonl --out {out}/ppo-ptx")
    run(f"dpo {out}/comparisons.db --model {out}/sft --beta 0.1 --epochs 1 --max-new-tokens 24 --out {out}/dpo")
    run(f"duel {out}/sft tiny-en {out}/{PPO} {out}/ppo-ptx {out}/dpo {ENV} --by {JUDGE} --episodes {duels}")
