"""An annotator in a process of its own: judge what a store holds, and print each prompt once its judgement was taken.

Run: python -m benchmarks.attack.judge STORE NAME
"""

import sys

from textenv.errors import SaveError
from textenv.preferences.store import ComparisonStore


def main(store: str, name: str) -> None:
    """Judge all that is left for a name; a store that cannot be written ends it."""
    with ComparisonStore(store) as opened:
        while True:
            try:
                lease = opened.lease(name)
                if lease is None:
                    return
                taken = opened.submit(lease.token, range(1, len(lease.responses) + 1))
            except SaveError as error:
                print(f"refused: {error}", file=sys.stderr)
                return
            if taken:
                print(lease.prompt, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
