"""Base of the sweeps: the same fields as in default.py, some of them axes of a product.

    csdip sweep --config.num_measurements='(200,400,800)' --config.grids='("tv.mu=64,256",)'
    csdip sweep --config.data=mnist --config.methods=csdip,lasso_dct --data_dir=data \\
        --config.num_measurements='(25,50,100)' --config.num_images=20

Without --config.data: a photograph that scikit-image ships, 64 x 64 in grey; with the rest as it stands, 18 cells by
fast methods in about a minute on two cores.
"""

from csdip_jax.commands.configs import default
from csdip_jax.operators import COUNTS

AXES = ("seed", "operator", *COUNTS, "noise_variance")


def get_config():
    config = with_axes(
        default.get_config(),
        seed=(0,),
        operator=("gaussian",),
        num_measurements=(400, 800, 1600),
        num_lines=(),
        noise_variance=(0.0, 100.0),  # which ones run together shows in a cell's last bits (its MSE's seventh digit)
    )
    config.grids = ()  # of "<method>.<field>=<value>,<value>,...": each method's are combined with one another
    config.methods = "lasso_dct,tv,damp_tv"
    return config


def with_axes(config, **axes: tuple):
    """The configuration with these fields as tuples, where default.py has single values."""
    for name, values in axes.items():
        del config[name]
        config[name] = values
    return config
