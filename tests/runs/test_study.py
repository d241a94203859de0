"""What is asked for without any command: a study, its cells, their rows."""

import dataclasses

import pytest

import csdip_jax as cs
from csdip_jax.runs import saved
from csdip_jax.runs.plan import programs
from csdip_jax.runs.run import compute
from csdip_jax.runs.study import Study
from csdip_jax.runs.workdir import Workdir

STUDY = Study(
    data="demo",
    image_shape=(16, 16, 1),
    num_images=2,
    operator=("gaussian", "radial_fourier"),
    counts={"num_measurements": (40, 80), "num_lines": (3,)},
    noise_variance=(0.0, 10.0),
    methods=("tv", "lasso_dct"),
    settings={"tv": {"steps": 3}, "lasso_dct": {"steps": 3}},
    grids={"tv": {"mu": (16.0, 64.0)}},
    axes=("operator", "num_measurements", "num_lines", "noise_variance"),
)


def test_a_study_is_computed_by_the_library_alone(tmp_path):
    asked = dataclasses.replace(STUDY, counts={"num_measurements": (40,), "num_lines": ()}, operator=("gaussian",))
    rows = compute(programs([asked]), Workdir(tmp_path, {"asked": repr(asked)}))
    assert [row.file for row in rows][:2] == ["camera-m40-noise0-tv-mu=16", "camera-m40-noise0-tv-mu=64"]
    assert len(rows) == 2 * 2 * (2 + 1) and all(row.ok for row in rows)
    assert saved.is_whole(saved.reconstruction(tmp_path, rows[0].file), (16, 16, 1), "trace", "adjoint")


def test_every_operator_takes_its_own_numbers():
    found = [[(x.kind, x.count, x.noise_variance) for x in same] for same in STUDY.measurements((16, 16, 1))]
    kinds = (("gaussian", 40), ("gaussian", 80), ("radial_fourier", 3))
    assert found == [[(*kind, noise) for noise in (0.0, 10.0)] for kind in kinds]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": (0, 0)}, r"seed = \(0, 0\): it must be without repetitions"),
        ({"methods": ()}, r"methods = \(\): it must be one value at least"),
        ({"noise_variance": ("much",)}, "noise_variance = 'much': it must be a number"),
        ({"counts": {"num_lines": (1.5,)}}, "num_lines = 1.5: it must be a whole number"),
        ({"grids": {"csgm": {"learning_rate": (1.0,)}}}, "'csgm' is not among `methods=tv,lasso_dct`"),
    ],
)
def test_what_a_study_refuses(changes, message):
    with pytest.raises(cs.InputError, match=message):
        dataclasses.replace(STUDY, **changes)


def test_images_have_to_be_named():
    with pytest.raises(cs.InputError, match="name a data set, a folder, a glob or a file by `data`"):
        dataclasses.replace(STUDY, data=None).load_images()
