"""A labelling page that is served."""

import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.web.client import Client
from textenv.preferences.store import ComparisonStore, Item
from textenv.web.labelling import LabellingPage
from textenv.web.serving import HOST, bind, server_for


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ComparisonStore]:
    """Make a store of three items of three responses."""
    with ComparisonStore(tmp_path / "store.db", create=True) as store:
        store.add(Item(prompt=f"prompt {i}", responses=(f"{i}a", f"{i}b", f"{i}c"), sources=("secret run",) * 3) for i in range(3))
        yield store


@pytest.fixture
def serve(store: ComparisonStore) -> Iterator[Callable[..., str]]:
    """Serve the page over the store; gives its address."""
    served = []

    def start(
        *, overlap: int = 1, ratings: bool = False, instructions: str = "", tokens: Mapping[str, str] = {"secret": ""}, host: str = HOST
    ) -> str:
        listening = bind(0, host)
        port = listening.getsockname()[1]
        page = LabellingPage(store, port=port, overlap=overlap, ratings=ratings, instructions=instructions)
        server = server_for(page.app(), listening, tokens=tokens, host=host)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        served.append((server, thread, listening))
        return f"http://127.0.0.1:{port}/?token=secret"

    yield start
    for server, thread, listening in served:
        server.should_exit = True
        thread.join()
        listening.close()


@pytest.fixture
def enter(serve: Callable[..., str]) -> Callable[..., Client]:
    """Serve the page and enter as an annotator; options are of the page."""
    return lambda name="anna", **options: Client(serve(**options), name)
