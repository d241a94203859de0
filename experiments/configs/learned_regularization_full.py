"""The paper's Table 1 whole: five numbers of measurements, four noise variances, 50 test and 10 training x-rays.

    python -m experiments.learned_regularization --data_dir=data \\
        --config=experiments/configs/learned_regularization_full.py

20 cells of up to 220 fits; at the largest m a matrix takes 2.1 GB. A matter for GPUs: not run here. Several images are
of one patient (the 10 training images of 7, the 50 test images of 33), and the intervals count each as new.
"""

from experiments.configs import learned_regularization


def get_config():
    config = learned_regularization.get_config()
    config.num_training_images = 10
    config.num_choosing = 10
    config.lr_weights.weights = (1e-4, 1e-3, 1e-2)
    config.lr_weights.layer_means = (10.0, 100.0, 1000.0)
    config.num_images = 50
    config.num_measurements = (500, 1000, 2000, 4000, 8000)
    config.noise_variance = (0.0, 10.0, 100.0, 1000.0)
    return config
