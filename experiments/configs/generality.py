"""Complex images from a quarter of their k-space, and digits from sizes of random products: no oracle anywhere.

python -m experiments.generality --data_dir=data
python -m experiments.generality --data_dir=data --config.sections=mri --config.mri.size=64 --config.mri.steps=300
"""

from ml_collections import config_dict


def get_config() -> config_dict.ConfigDict:
    config = config_dict.ConfigDict()
    config.seed = 0
    config.sections = "mri,phase"

    # Slices of mri_complex_brains; 01 and 06 are for tuning. A smaller size keeps the middle of their k-space.
    config.mri = config_dict.create(
        slices=("11", "16", "21", "26"), size=256, acceleration=4.0, calibration=0.08, noise_variance=0.0
    )
    config.mri.methods = ("csdip", "self_guided", "aseq_dip")  # the first one is what the others are compared with
    config.mri.steps = 2000
    config.mri.width = 48  # of the U-Net, the same for all
    config.mri.csdip = config_dict.create(
        generator="unet", optimizer_name="adam", decay=0.999, learning_rate=0.005, tv_weight=0.0, keep="last"
    )
    config.mri.self_guided = config_dict.create(learning_rate=0.003, strength=0.01)
    config.mri.aseq_dip = config_dict.create(learning_rate=0.003, strength=1.0, inner=100, consistent=True)

    # The first digits of the test set, steps and restarts as published; black: what is 0, see `operators.Magnitude`.
    config.phase = config_dict.create(
        num_images=20, first_image=0, num_measurements=(101, 133, 156, 172, 235, 490), black=0.0, restarts=5, steps=300
    )
    return config
