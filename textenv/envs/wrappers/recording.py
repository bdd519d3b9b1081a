"""Episodes as a table, a row a token."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from textenv.envs.shaping import TokenDistribution, chosen, distribution, load_reference
from textenv.envs.wrappers.base import Move, Rows, Turn, wrap
from textenv.errors import ArgumentError
from textenv.files import replacing, saving
from textenv.rewards.kl import k1

if TYPE_CHECKING:
    import pandas as pd

PART_ROWS: Final = 2**17


def RecordEpisodes(env: Any, *, policy: TokenDistribution | None = None, reference: Any = None, folder: str | Path | None = None) -> Any:
    """Keep every finished episode, a row a token.

    `frame()` is a pandas table of

    - `episode`, counted from 0 as they end, and `t`, the token's place in the response;
    - `token`, its id, and `text`, what it added to the text;
    - `log_prob` under `policy` and `ref_log_prob` under `reference`, in nats, where they are given, and with both `kl`, the
      k1 estimate a token, log_prob - ref_log_prob;
    - `reward`, what `step` paid;
    - `score` and `score_NAME`, its parts, of the whole episode: the same in all its rows, NaN where it was cut off.

    Args:
        env: from `gymnasium.make` or `gymnasium.make_vec`.
        policy: what draws the tokens, or None; it is asked again for every state.
        reference: a name, a path or a policy, or None for no reference.
        folder: an empty or new folder for the same as parquet files: `part-00000.parquet` and on, the last of them with
            `close()`. Without one, everything is kept in memory.

    Raises:
        ArgumentError: the env is no text environment, its observations are no tokens any more, or the folder is not empty.
        LoadError: the reference cannot be loaded.
        SaveError: the folder cannot be written.
    """
    return wrap(RecordEpisodes, Recorder, env, policy=policy, reference=reference, folder=folder)


class Recorder(Rows):
    """The rows of `RecordEpisodes`; the arguments are its."""

    asks_allowed = True
    offers = ("frame",)

    def __init__(self, env: Any, policy: TokenDistribution | None, reference: Any, folder: str | Path | None) -> None:
        super().__init__(env)
        self.models: dict[str, TokenDistribution] = {} if policy is None else {"log_prob": policy}
        if reference is not None:
            self.models["ref_log_prob"] = load_reference(reference, self.rules)
        self.folder = None if folder is None else Path(folder)
        if self.folder is not None:
            if self.folder.exists() and any(self.folder.iterdir()):
                raise ArgumentError(f"{self.folder} is not empty; record into a new folder.")
            with saving(self.folder):
                self.folder.mkdir(parents=True, exist_ok=True)
        self.open: list[list[dict[str, Any]]] = [[] for _ in range(self.count)]  # tokens of the running episodes
        self.finished: list[dict[str, Any]] = []  # tokens of finished episodes that are in no file
        self.episodes, self.parts = 0, 0

    def begin(self, rows: NDArray[np.bool_]) -> None:
        """Drop the running episodes of these rows (N,)."""
        for row in np.flatnonzero(rows).tolist():
            self.open[row] = []

    def weigh(self, move: Move) -> dict[str, torch.Tensor]:
        """Compute the log-probabilities of the tokens (N,) by name; write what is to be written."""
        if self.folder is not None and len(self.finished) >= PART_ROWS:
            self.close()
        with torch.no_grad():
            log_probs = {name: chosen(distribution(model, move.before, move.allowed), move.tokens) for name, model in self.models.items()}
        if len(log_probs) == 2:
            log_probs["kl"] = k1(log_probs["log_prob"], log_probs["ref_log_prob"])
        return log_probs

    def settle(self, turn: Turn) -> NDArray[np.float64]:
        """Note a step, and move the episodes that ended to the finished ones."""
        for row in np.flatnonzero(turn.move.live).tolist():
            log_probs = {name: float(values[row]) for name, values in turn.weighed.items()}
            self.open[row].append({"token": int(turn.move.tokens[row]), **log_probs, "reward": float(turn.rewards[row])})
        for row in np.flatnonzero(turn.ended).tolist():
            self.finished += self._finish(row, turn)
        return turn.rewards

    def _finish(self, row: int, turn: Turn) -> Iterator[dict[str, Any]]:
        """Number the tokens of a row that has ended, and add what is known at the end."""
        info = turn.infos[row]
        scores = {"score": float(info.get("score", np.nan)), **{name: float(info[name]) for name in info if name.startswith("score_")}}
        texts = self.rules.pieces(turn.after[row])
        for t, (text, known) in enumerate(zip(texts, self.open[row], strict=True)):
            yield {"episode": self.episodes, "t": t, "token": known.pop("token"), "text": text, **known, **scores}
        self.open[row] = []
        self.episodes += 1

    def frame(self) -> "pd.DataFrame":
        """Return all finished episodes, those in files included."""
        import pandas as pd

        columns = ["episode", "t", "token", "text", *self.models, *(["kl"] if len(self.models) == 2 else []), "reward", "score"]
        rest = pd.DataFrame(self.finished, columns=None if self.finished else columns)
        if not self.parts:
            return rest
        files = [pd.read_parquet(self._part(number)) for number in range(self.parts)]
        return pd.concat([*files, rest] if self.finished else files, ignore_index=True)

    def close(self) -> None:
        """Write the finished episodes that are in no file yet; without a folder, nothing."""
        import pandas as pd

        if self.folder is not None and self.finished:
            with replacing(self._part(self.parts)) as place:
                pd.DataFrame(self.finished).to_parquet(place, index=False)
            self.parts += 1
            self.finished = []

    def _part(self, number: int) -> Path:
        assert self.folder is not None
        return self.folder / f"part-{number:05}.parquet"
