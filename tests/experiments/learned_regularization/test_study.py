"""What the study refuses before anything is fitted."""

import pytest

import csdip_jax as cs
from csdip_jax.commands.configs import default
from experiments.learned_regularization import study
from tests.commands.typed import refused, run
from tests.experiments.learned_regularization.toy import config


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"arms": "weigths"}, "unknown arm 'weigths' in --config.arms: choose from weights, layer_means, warm_start"),
        ({"arms": "weights, weights"}, r"arms = \('weights', 'weights'\): it must be without repetitions"),
        ({"training_counts": (1, 1)}, "training_counts = .* without repetitions"),
        ({"num_training_images": 1}, "num_training_images = 1: it must be at least 2"),
        ({"num_choosing": 4}, "num_choosing = 4: it must be 1 to num_training_images"),
        ({"training_counts": (4,)}, r"training_counts = \(4,\): it must be 1 to num_training_images = 3"),
        ({"operator": "radial_fourier"}, "operator = 'radial_fourier': it must be gaussian"),
        ({"methods": "tv"}, "methods = 'tv': it must be csdip"),
        ({"held_out": 0}, "held_out = 0"),
        ({"held_out": 257}, "held_out = 257: it must be at most the 256 pixels"),
        ({"samples": 1}, "samples = 1: it must be at least 2"),
        ({"rounds": 0}, "rounds = 0"),
        ({"num_training_images": 9}, "training images: num_images=9"),
        ({"num_measurements": (60.5,)}, "num_measurements = 60.5"),
        ({"num_measurements": (60, 60)}, "num_measurements = .* without repetitions"),
        ({"noise_variance": ("a",)}, "noise_variance = 'a': it must be a number"),
        ({"training_counts": (1.5,)}, "training_counts = 1.5: it must be a whole number"),
        ({"num_measurements": (0,)}, "num_measurements = 0: it must be a whole number of at least 1"),
        ({"num_measurements": ()}, "give at least one of each"),
    ],
)
def test_bad_settings(folders, changes, message):
    with pytest.raises(cs.InputError, match=message):
        study.plan(config(folders, **changes), None)


def test_bad_fields_of_parts(folders):
    bad = config(folders)
    for grid, message in (((1.0, 0.0), "weights = 0.0: it must be a number above 0"), ((), r"weights = \(\)")):
        bad.lr_weights.weights = grid
        with pytest.raises(cs.InputError, match=message):
            study.plan(bad, None)
    bad = config(folders)
    bad.csdip.lr_weight = 7.0
    with pytest.raises(cs.InputError, match="csdip.lr_weight = 7.0: it must be left out"):
        study.plan(bad, None)
    with pytest.raises(cs.InputError, match="this study needs fields of its own"):
        study.plan(default.get_config(), None)


def test_a_test_image_among_the_training_images_is_refused(folders):
    with pytest.raises(cs.InputError, match="test image disc_0 is a training image too"):
        study.plan(config(folders, data=str(folders / "training"), num_images=1), None)


def test_bad_input_is_one_line():
    options = ["--config.data=demo", "--config.training_data=demo", "--config.num_training_images=99"]
    assert "training images: num_images=99" in refused(run("learned_regularization", *options))
