"""The scripts of examples/, at toy size."""

import importlib.util

import numpy as np
import pytest

from tests.conftest import REPOSITORY

TOYS = {"single_pixel": {"side": 16, "steps": 30}}


@pytest.mark.parametrize("path", sorted((REPOSITORY / "examples").glob("*.py")), ids=lambda path: path.stem)
def test_an_example_runs(path, tmp_path, capsys):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    images = module.main(**TOYS[path.stem], path=str(tmp_path / "picture.png"))
    assert all(np.isfinite(image).all() for image in images.values())
    assert (tmp_path / "picture.png").stat().st_size > 100
    assert f"python examples/{path.name}" in module.__doc__ and "picture" in capsys.readouterr().out
