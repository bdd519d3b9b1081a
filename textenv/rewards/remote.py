"""A reward behind an HTTP endpoint."""

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from textenv.errors import ArgumentError, RewardError
from textenv.rewards.protocol import refuse_half_characters

_FIRST_WAIT = 0.1
"""Seconds before the first retry; each further wait is twice as long."""


@dataclass(frozen=True)
class HTTPReward:
    """Scores by a server; range and direction are the server's.

    Each batch is one POST of `{"prompts": [...], "completions": [...]}`, with every other column of the prompt set beside
    these, n values each; the answer is `{"scores": [...]}`, n finite numbers. A refused connection, a time-out, too many
    requests (429) and a failure of the server (5xx) are tried again after .1, .2, .4 ... seconds.

    Args:
        url: of the endpoint, http or https.
        timeout: seconds to wait for the server to connect, and then each time for it to say anything.
        retries: further attempts after a failure.

    Raises:
        ArgumentError: the url is none, or a number is out of its range.
    """

    url: str
    timeout: float = 10.0
    retries: int = 2

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.url)
            valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            valid = False
        if not valid:
            raise ArgumentError(f'HTTPReward needs a url such as "http://localhost:8000/score", got {self.url!r}.')
        numbers = not isinstance(self.timeout, bool) and isinstance(self.timeout, int | float) and type(self.retries) is int
        if not numbers or not self.timeout > 0 or self.retries < 0:
            got = f"timeout={self.timeout!r} and retries={self.retries!r}"
            raise ArgumentError(f"HTTPReward needs a number timeout > 0 and an integer retries ≥ 0, got {got}.")

    def __call__(self, prompts: Sequence[str], completions: Sequence[str], **columns: Any) -> list[float]:
        """Score n texts.

        Raises:
            RewardError: the endpoint cannot be reached, or answers with something else than n finite numbers.
        """
        refuse_half_characters(f"HTTPReward({self.url})", prompts, completions)
        body = {**columns, "prompts": list(prompts), "completions": list(completions)}
        try:
            data = json.dumps(body).encode()
        except TypeError as error:
            raise RewardError(f"The columns of the prompts cannot be sent to {self.url} as JSON: {error}.") from error
        return self._read(self._post(data), len(completions))

    def _post(self, data: bytes) -> bytes:
        request = Request(self.url, data, {"Content-Type": "application/json"}, method="POST")
        problem = ""
        for attempt in range(self.retries + 1):
            if attempt:
                time.sleep(_FIRST_WAIT * 2 ** (attempt - 1))
            try:
                with urlopen(request, timeout=self.timeout) as response:
                    answer: bytes = response.read()
                    return answer
            except HTTPError as error:
                error.close()
                problem = f"HTTP status {error.code} ({error.reason})"
                if error.code != 429 and error.code < 500:
                    raise RewardError(f"The reward endpoint {self.url} refused the batch: {problem}.") from error
            except (OSError, HTTPException) as error:
                reason = getattr(error, "reason", error)
                problem = f"no answer within {self.timeout} s" if isinstance(reason, TimeoutError) else str(reason) or type(reason).__name__
        raise RewardError(f"The reward endpoint {self.url} failed {self.retries + 1} times, the last time by: {problem}.")

    def _read(self, answer: bytes, n: int) -> list[float]:
        try:
            scores: Any = json.loads(answer)["scores"]
        except (ValueError, LookupError, TypeError):
            scores = None
        right = isinstance(scores, list) and len(scores) == n and all(type(score) in (int, float) for score in scores)
        if not right or not all(abs(score) <= sys.float_info.max for score in scores):
            shown = answer[:80].decode(errors="replace")
            raise RewardError(f'The reward endpoint {self.url} must answer {{"scores": [...]}} with {n} finite numbers, got {shown!r}.')
        return [float(score) for score in scores]
