"""The configuration `default` of the command `csdip`, where configurations and commands of the paper look for it."""

from csdip_jax.commands.configs.default import get_config as get_config
