"""Toy images, and a study of them that is finished: once for all files here."""

import pytest

from csdip_jax.solve.fits import advance
from tests.experiments.learned_regularization.toy import draw, run


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("images")
    draw(root / "training", (0, 1, 2))
    draw(root / "test", (3, 4))
    return root


@pytest.fixture(scope="session")
def finished_and_programs(folders, tmp_path_factory):
    """A finished cell, and how many programs were compiled for it."""
    advance.clear_cache()  # of what other tests compiled: a program of theirs would not be counted
    finished = run(folders, tmp_path_factory.mktemp("run"))
    return finished, advance._cache_size()


@pytest.fixture
def finished(finished_and_programs):
    return finished_and_programs[0]
