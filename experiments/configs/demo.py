"""The configuration `demo` of the command `csdip`, where configurations and commands of the paper look for it."""

from csdip_jax.commands.configs.demo import get_config as get_config
