"""Several devices give what one gives on a CPU, bit for bit or as far as sums taken in another order allow."""

import dataclasses
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import csdip_jax as cs

SHAPE = (8, 8, 1)
METHODS = {
    "tv, swept": dataclasses.replace(cs.methods.Tv(SHAPE), steps=4, mu=np.array([64.0, 256.0] * 5)),
    "lasso": cs.methods.Lasso(SHAPE, steps=40),
}
TOLERANCES = {"tv, swept": 0.0, "lasso": 5e-5}
"""Of an image's entries, after a set number of steps: docs/howto/clusters.md tells of very many."""


def solutions() -> dict[str, np.ndarray]:
    """Images of each method: five operators with two settings each, and ten cases of one operator."""
    image = jnp.linspace(-1, 1, 64).reshape(SHAPE)
    single = [cs.operators.gaussian(jax.random.key(i), 20, SHAPE) for i in range(5)]
    operators = jax.tree.map(lambda *x: jnp.stack(x), *single)
    several = cs.Problem(operators, jnp.stack([k * a.forward(image) for a in single for k in (0.4, 0.8)]))
    shared = cs.Problem(single[0], jnp.stack([k / 11 * single[0].forward(image) for k in range(1, 11)]))
    found = {}
    for name, method in METHODS.items():
        options = {"cases_per_operator": 2, "fits_at_once": 2}
        found[name] = cs.reconstruct(method, several, jax.random.key(0), **options).image
        found[f"{name}, one operator"] = cs.reconstruct(method, shared, jax.random.key(0), fits_at_once=2).image
    return {name: np.asarray(images) for name, images in found.items()}


@pytest.mark.parametrize("devices", [8])
def test_as_on_one_device(devices, tmp_path, on_cpu):
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={devices}"
    program = "import sys, jax, numpy as np; from tests.test_devices import solutions; " + (
        f"assert jax.device_count() == {devices}; np.savez(sys.argv[1], **solutions())"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, str(tmp_path / "several.npz")],
        env=os.environ | {"XLA_FLAGS": flags},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "several.npz") as several:
        for name, images in solutions().items():
            tolerance = TOLERANCES[name.removesuffix(", one operator")]
            np.testing.assert_allclose(several[name], images, rtol=0, atol=tolerance, err_msg=name)
