"""The VAE of CSGM on MNIST: 784-500-500-20-500-500-784, Adam 1e-3, batches of 100 (as Bora et al.).

    python -m experiments.train_vae --data_dir=data

Measured, on two shared CPU cores: 10 s an epoch, 7 minutes in all with reading the images; ELBO -96.9 nats an image on
the training images, -99.6 on those held out. CSGM with it, mean MSE of the first 100 test digits +- 1 standard error:
m = 50 0.0395 +- 0.0037, 75 0.0316 +- 0.0023, 100 0.0294 +- 0.0021, 200 0.0268 +- 0.0019. With every pixel measured
the first 20 digits keep an MSE of 0.027 (0.025 with l2_weight 0): what the decoder's range lacks.
"""

from ml_collections import config_dict


def get_config() -> config_dict.ConfigDict:
    config = config_dict.ConfigDict()
    config.name = "vae_mnist"  # of the default workdir and of the weights' file
    config.seed = 0

    # Images, as csdip_jax.data names them. Held out are the LAST ones of their source: reconstructed are its first.
    config.data = "mnist:train"
    config.num_images = config_dict.placeholder(int)  # None: all
    config.held_out = "mnist:test"
    config.num_held_out = 1000
    config.image_shape = config_dict.placeholder(tuple)  # (h, w, c): crop and resize to this

    config.hidden = (500, 500)
    config.latent_dim = 20

    config.epochs = 30
    config.batch_size = 100
    config.learning_rate = 1e-3
    return config
