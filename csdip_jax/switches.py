"""JAX's debugging switches, off while this package computes.

They are meant for a user's own program, and stop at what is meant here: losses that start as inf, traces as NaN, a last
failed attempt that is reported rather than raised, pixels sent to the device.
"""

from collections.abc import Callable
from contextlib import ExitStack
from functools import wraps

import jax

SWITCHES = {
    "jax_debug_nans": (jax.debug_nans, False),
    "jax_debug_infs": (jax.debug_infs, False),
    "jax_debug_key_reuse": (jax.debug_key_reuse, False),
    "jax_check_tracer_leaks": (jax.check_tracer_leaks, False),
    "jax_enable_checks": (jax.enable_checks, False),
    "jax_disable_jit": (jax.disable_jit, False),
    "jax_numpy_rank_promotion": (jax.numpy_rank_promotion, "allow"),
    "jax_numpy_dtype_promotion": (jax.numpy_dtype_promotion, "standard"),
    "jax_transfer_guard_host_to_device": (jax.transfer_guard_host_to_device, "allow"),
    "jax_transfer_guard_device_to_device": (jax.transfer_guard_device_to_device, "allow"),
    "jax_transfer_guard_device_to_host": (jax.transfer_guard_device_to_host, "allow"),
}
"""Name -> what sets it for a while, and to what."""


def without_switches(function: Callable) -> Callable:
    """The function, during which the switches are off, whatever the user has set."""

    @wraps(function)
    def undisturbed(*arguments, **options):
        with ExitStack() as stack:
            for name, (switched, off) in SWITCHES.items():
                if getattr(jax.config, name) not in (off, None):
                    stack.enter_context(switched(off))
            return function(*arguments, **options)

    return undisturbed
