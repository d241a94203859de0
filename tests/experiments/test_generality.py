"""MRI and phase retrieval: masks, tables, and a run at the smallest size that is not repeated."""

import numpy as np
import pandas as pd
import pytest
import scipy.io

import csdip_jax as cs
from experiments.configs import generality
from experiments.generality import comparisons


def test_a_mask_is_of_whole_columns_dense_in_the_middle():
    masks = [comparisons.column_mask(64, 4.0, 0.08, seed) for seed in range(200)]
    assert all(mask.sum() == 64 * 16 and (mask == mask[0]).all() for mask in masks)
    share = np.mean([mask[0] for mask in masks], 0)
    assert (share[30:35] == 1).all() and share[20:29].mean() > 3 * share[:9].mean() > 0
    with pytest.raises(cs.InputError, match="acceleration = 20.0: 5 of 64 columns are measured in any case"):
        comparisons.column_mask(64, 20.0, 0.08, 0)


def test_the_table_of_slices_tells_by_how_much_the_others_are_above_the_first():
    rows = [("11", "zero-filled", 20.0, 0.5), ("11", "csdip", 25.0, 0.6), ("11", "aseq_dip", 28.5, 0.7)]
    table = comparisons.mri_table(pd.DataFrame(rows, columns=["slice", "method", "psnr", "ssim"]))
    assert table.iloc[-1].tolist() == ["above csdip", "-5.00", "0.00", "3.50"]


def test_the_table_of_digits_stands_beside_the_published_numbers():
    frame = pd.DataFrame({"digit": ["0", "1"], "m": 133, "m_over_n": 133 / 784, "mse": [0.1, 0.3]})
    assert comparisons.phase_table(frame).iloc[0].tolist() == [
        "133",
        "0.170",
        "0.2000",
        "0.2000",
        "0.3000",
        "0.2558 (0.170)",
    ]


def test_slices_are_fitted_once(tmp_path, monkeypatch, capsys):
    """At a small size, from a file as those of the data set are."""
    rows, columns = np.indices((32, 32)) - 16
    slice_ = np.where(np.hypot(rows, columns) < 10, np.exp(0.1j * columns), 0)
    (tmp_path / "mri_complex_brains").mkdir()
    scipy.io.savemat(tmp_path / "mri_complex_brains" / "test_data_11.mat", {"Img": slice_})
    config = generality.get_config()
    config.sections, config.mri.methods, config.mri.slices = "mri", ("csdip",), ("11",)
    config.mri.size, config.mri.steps, config.mri.width = 16, 3, 4
    comparisons.run(config, str(tmp_path), str(tmp_path / "run"))
    first = capsys.readouterr().out
    assert "above csdip" in first and (tmp_path / "run" / "mri.png").exists()
    monkeypatch.setattr(cs, "reconstruct", None)
    comparisons.run(config, str(tmp_path), str(tmp_path / "run"))
    assert capsys.readouterr().out == first
    config.mri.steps = 4
    with pytest.raises(cs.InputError, match="other settings"):
        comparisons.run(config, str(tmp_path), str(tmp_path / "run"))
