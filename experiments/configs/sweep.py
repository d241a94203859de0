"""The configuration `sweep` of the command `csdip`, where configurations and commands of the paper look for it."""

from csdip_jax.commands.configs.sweep import get_config as get_config
