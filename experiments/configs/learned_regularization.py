"""The paper's Table 1, reduced: how much a prior over the network's weights, learned from x-rays, lowers the MSE.

    python -m experiments.learned_regularization --data_dir=data

Percent decrease of the mean MSE with half a 95 % interval, weights / layer_means (published): m = 500, noise variance
0: 0.3 +- 8.2 / 2.4 +- 1.9 (9.9); 1000: 0.9 +- 34.4 / -2.2 +- 9.6 (37.4); m = 2000, 0: -0.2 +- 5.2 / 0.0 +- 2.8 (0.2);
1000: off / 3.7 +- 10.9 (19.8). Under two hours on two shared CPU cores: a cell takes 17 minutes at m = 500 and 24 at
m = 2000. Where the test images' networks begin as `dcgan` and the prior comes from networks that began as `torch_0_4`,
m = 500, 1000: layer_means 35.2 +- 2.2, on one core 40.9 +- 5.5. Why: docs/paper/learned_regularization.md.
"""

from ml_collections import config_dict

from csdip_jax.commands.configs import default


def get_config():
    config = default.get_config()
    config.operator = "gaussian"

    # The prior is learned from the measurements of these images, and lr_weight chosen on further ones of the first few.
    config.training_data = "xray:lr_train"
    config.num_training_images = 5
    config.training_initializer = config_dict.placeholder(str)  # of those learned from; None: generator.initializer
    config.num_choosing = 2
    config.held_out = 500  # measurements of each, with the same noise, that no fit sees
    config.lr_weights = config_dict.ConfigDict({"weights": (1e-3, 1e-2), "layer_means": (10.0, 100.0)})
    config.samples = config_dict.placeholder(int)  # S of Algorithm 1; None: the moments it estimates, exactly
    config.rounds = 100  # T of Algorithm 1

    # It is evaluated on these.
    config.data = "xray"
    config.num_images = 4
    config.arms = "weights,layer_means"  # and warm_start, weights+warm_start, layer_means+warm_start, learned_start
    config.start_steps = 100  # of a fit that begins at a learned start
    config.training_counts = ()  # learn from the first 1, 2, ... images as well; (): from all only

    # A cell of the table each: tuples, where other configurations have one number.
    del config.num_measurements, config.noise_variance
    config.num_measurements = (500, 2000)
    config.noise_variance = (0.0, 1000.0)
    return config
