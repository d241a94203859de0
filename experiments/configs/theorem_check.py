"""The theorem on networks of up to 200 pixels and width 20000.

python -m experiments.theorem_check
python -m experiments.theorem_check --config.quick=True
python -m experiments.theorem_check --config.sections=descent --config.num_pixels='(500,)' --config.num_seeds=50
"""

from ml_collections import config_dict


def get_config() -> config_dict.ConfigDict:
    config = config_dict.ConfigDict()
    config.seed = 0
    config.dtype = "float32"  # or float64
    config.memory = 4.0  # GiB for the networks that are fitted together
    config.sections = "descent,lemmas,compressed,early_stopping,spectra"
    config.quick = False  # takes the fields of `quick_grid` instead: under a minute on two cores

    # n, d / n, how many seeds, and c: the step over the printed one (1/16 is what the proof covers).
    config.num_pixels = (20, 50, 100, 200)
    config.ratios = (0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 10.0, 20.0, 50.0, 100.0)
    config.num_seeds = 20
    config.step_scales = (1 / 16, 1 / 8, 1 / 4, 0.3, 0.35, 0.4, 0.5, 0.75, 1.0)
    config.max_steps = 4000

    config.lemmas = config_dict.create(
        num_pixels=(20, 50), ratios=(1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 30.0, 100.0, 300.0, 1000.0)
    )

    # A photograph of image_shape pixels, measured on each number of radial Fourier lines; d / m.
    config.compressed = config_dict.create(image_shape=(32, 32), num_lines=(2, 4), ratios=(5.0, 10.0, 20.0))

    # Noise ||e|| / ||x*||; pixels and d / n of the one-layer network; a photograph for the DCGAN.
    config.early_stopping = config_dict.create(
        noise=(0.35, 1.0), pixels=200, ratio=20, image_shape=(128, 128), dcgan_steps=1000
    )

    # threshold_pixels: n of the spectra at d = 3528 n, from which Lemma B.1 is proved.
    config.spectra = config_dict.create(num_pixels=(256, 1024), ratios=(20.0,), threshold_pixels=(20, 100), num_seeds=3)

    config.quick_grid = config_dict.create(
        num_pixels=(20, 50),
        ratios=(1.0, 3.0, 10.0, 30.0),
        step_scales=(1 / 16, 1 / 4, 0.5, 1.0),
        max_steps=4000,
        lemmas=dict(num_pixels=(20,), ratios=(3.0, 30.0, 300.0)),
        compressed=dict(image_shape=(16, 16), num_lines=(2,), ratios=(10.0,)),
        early_stopping=dict(noise=(0.5,), pixels=50, ratio=20, image_shape=(32, 32), dcgan_steps=500),
        spectra=dict(num_pixels=(64,), ratios=(20.0,), threshold_pixels=(20,), num_seeds=3),
    )
    return config
