"""Settings that must stand before torch and the Hugging Face libraries are imported, and a registry that is as before after every test."""

import contextlib
import multiprocessing
import os
from collections.abc import Callable, Iterator

import pytest

os.environ["OMP_WAIT_POLICY"] = "passive"
os.environ["HF_HUB_OFFLINE"] = "1"
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ["OMP_NUM_THREADS"] = "1"  # of the processes that tests start, too

import gymnasium
import torch

from textenv.envs import registry

torch.set_num_threads(1 if "PYTEST_XDIST_WORKER" in os.environ else 2)
# A process has one fork server, which whoever comes first starts; this one has imported everything and computed nothing.
multiprocessing.set_forkserver_preload(["pyarrow.parquet", "pytest", "textenv.training"])


@pytest.fixture(autouse=True)
def registry_is_restored() -> Iterator[None]:
    ours, theirs = dict(registry._registered), dict(gymnasium.registry)
    yield
    registry._registered.clear()
    registry._registered.update(ours)
    gymnasium.registry.clear()
    gymnasium.registry.update(theirs)


@pytest.fixture
def largest_file() -> Callable[[int], contextlib.AbstractContextManager[None]]:
    """Make writing fail, as on a full disk, where a file grows beyond some bytes."""
    resource = pytest.importorskip("resource")

    @contextlib.contextmanager
    def limited(size: int) -> Iterator[None]:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    return limited
