"""Inputs of the golden PyTorch files, drawn with numpy alone.

Both `make_torch_golden.py`, which writes the reference arrays, and the tests, which compare with them,
import this module, so that inputs need not be stored. Everything comes from `np.random.RandomState(seed)`,
whose streams numpy keeps frozen. Everything is float64; convolution weights have PyTorch's layout for
transposed convolutions [cin, cout, k, k]; images and activations are channels-last (h, w, c).
"""

from typing import NamedTuple

import numpy as np


class LayerSpec(NamedTuple):
    """A transposed convolution without bias, preceded by nearest-neighbour upsampling by `upsample`."""

    cin: int
    cout: int
    kernel: int
    stride: int
    padding: int
    upsample: int


class NetworkSpec(NamedTuple):
    """A generator: length of z, image shape (h, w, c), layers."""

    nz: int
    shape: tuple
    layers: tuple


MIDDLE = LayerSpec(64, 64, 6, 2, 2, 1)
NETWORKS = {
    "xray": NetworkSpec(
        128,
        (256, 256, 1),
        (LayerSpec(128, 64, 4, 1, 0, 1), *5 * (MIDDLE,), LayerSpec(64, 1, 4, 2, 1, 1)),
    ),
    "retino": NetworkSpec(
        32,
        (128, 128, 3),
        (LayerSpec(32, 64, 4, 1, 0, 1), *4 * (MIDDLE,), LayerSpec(64, 3, 4, 2, 1, 1)),
    ),
    "mnist": NetworkSpec(
        128,
        (28, 28, 1),
        (
            LayerSpec(128, 512, 2, 1, 0, 1),
            LayerSpec(512, 256, 4, 1, 0, 2),
            LayerSpec(256, 128, 3, 1, 1, 1),
            LayerSpec(128, 64, 3, 1, 1, 2),
            LayerSpec(64, 1, 3, 1, 1, 2),
        ),
    ),
}

# layers.npz: every distinct layer type with few channels, and the size (h, w) of the input before upsampling.
# Seeds go by position: new cases belong at the end.
LAYER_CASES = {
    "k4_first": (LayerSpec(5, 3, 4, 1, 0, 1), (1, 1)),
    "k6_4x4": (LayerSpec(5, 3, 6, 2, 2, 1), (4, 4)),
    "k6_5x7": (LayerSpec(5, 3, 6, 2, 2, 1), (5, 7)),
    "k4_out1_4x4": (LayerSpec(5, 1, 4, 2, 1, 1), (4, 4)),
    "k4_out3_4x4": (LayerSpec(5, 3, 4, 2, 1, 1), (4, 4)),
    "k4_out1_5x3": (LayerSpec(5, 1, 4, 2, 1, 1), (5, 3)),
    "k4_out3_5x3": (LayerSpec(5, 3, 4, 2, 1, 1), (5, 3)),
    "k2_first": (LayerSpec(5, 3, 2, 1, 0, 1), (1, 1)),
    "up2_k4_2x2": (LayerSpec(5, 3, 4, 1, 0, 2), (2, 2)),
    "k3_7x7": (LayerSpec(5, 3, 3, 1, 1, 1), (7, 7)),
    "up2_k3_7x7": (LayerSpec(5, 3, 3, 1, 1, 2), (7, 7)),
    "up2_k3_out1_3x5": (LayerSpec(5, 1, 3, 1, 1, 2), (3, 5)),
}
LAYER_SEED = 100  # the case at position i of LAYER_CASES uses LAYER_SEED + i

# layers.npz: BatchNorm + ReLU, shape (h, w, c) of the input
NORM_CASES = {"norm_7x6": (7, 6, 5), "norm_2x2": (2, 2, 4)}
NORM_SEED = 200  # the case at position i of NORM_CASES uses NORM_SEED + i
NORM_EPS = 1e-5

# networks.npz
NETWORK_SEED = {"xray": 11, "retino": 12, "mnist": 13}
COTANGENT_SEED = {"xray": 21, "retino": 22, "mnist": 23}
OUTPUT_COUNT, OUTPUT_SEED = 4000, 31
GRADIENT_COUNT, GRADIENT_SEED = 64, 32

# rmsprop.npz
RMSPROP_SEED = 41
RMSPROP_STEPS = (10, 50, 100, 200)
RMSPROP = {"lr": 1e-3, "alpha": 0.99, "eps": 1e-8, "momentum": 0.9}

# fits.npz
FIT_STEPS = 30
FIT_M = {"xray": 20, "retino": 20, "mnist": 100}
# network seeds for which the settings pick different iterates, and not always the last
FIT_NETWORK_SEED = {"xray": 53, "retino": 55, "mnist": 59}
FIT_PROBLEM_SEED = {"xray": 61, "retino": 62, "mnist": 63}
FIT_TV_WEIGHT = {
    "paper": {"xray": 0.01, "retino": 0.01, "mnist": 0.01},
    "reference": {"xray": 0.05, "retino": 0.02, "mnist": 0.01},
}
FIT_WINDOW = {"paper": 20, "reference": 51}  # of the last iterates, cut to the number there are
FIT_PICKED_BY = {"paper": "measurement_loss", "reference": "total_loss"}
FIT_IMAGE_COUNT, FIT_IMAGE_SEED = 2000, 71


def draw_network(name, seed):
    """{"z": [nz], "weights": [[cin, cout, k, k], ...], "scales": [[c], ...], "shifts": [[c], ...]}.

    Weights U(-b, b) with b = 1 / sqrt(cin k k), PyTorch 0.4's rule; scales U(0, 1); shifts U(-0.1, 0.1),
    not the 0 of a real start, so that a test sees them; z standard normal. Drawn in this order: z, then layer
    by layer weight, scale, shift. The last layer has no scale and shift.
    """
    spec = NETWORKS[name]
    rng = np.random.RandomState(seed)
    drawn = {"z": rng.standard_normal(spec.nz), "weights": [], "scales": [], "shifts": []}
    for position, layer in enumerate(spec.layers):
        bound = 1.0 / np.sqrt(layer.cin * layer.kernel**2)
        shape = (layer.cin, layer.cout, layer.kernel, layer.kernel)
        drawn["weights"].append(rng.uniform(-bound, bound, shape))
        if position < len(spec.layers) - 1:
            drawn["scales"].append(rng.uniform(0.0, 1.0, layer.cout))
            drawn["shifts"].append(rng.uniform(-0.1, 0.1, layer.cout))
    return drawn


def draw_cotangent(shape, seed):
    """Standard normal array of this shape."""
    return np.random.RandomState(seed).standard_normal(shape)


def sample_indices(size, count, seed):
    """`count` distinct indices below `size`, ascending; all of them where there are no more than `count`."""
    if size <= count:
        return np.arange(size)
    return np.sort(np.random.RandomState(seed).permutation(size)[:count])


def draw_layer(case):
    """{"x": [h, w, cin], "weight": [cin, cout, k, k], "cotangent": [h', w', cout]} of a LAYER_CASES entry."""
    layer, size = LAYER_CASES[case]
    rng = np.random.RandomState(LAYER_SEED + list(LAYER_CASES).index(case))
    out = [(layer.upsample * n - 1) * layer.stride - 2 * layer.padding + layer.kernel for n in size]
    return {
        "x": rng.standard_normal((*size, layer.cin)),
        "weight": rng.standard_normal((layer.cin, layer.cout, layer.kernel, layer.kernel)),
        "cotangent": rng.standard_normal((*out, layer.cout)),
    }


def draw_norm(case):
    """{"x": [h, w, c], "scale": [c], "shift": [c], "cotangent": [h, w, c]} of a NORM_CASES entry.

    Channel 0 is scaled down to a standard deviation near 3e-3, whose square is as small as epsilon.
    """
    shape = NORM_CASES[case]
    rng = np.random.RandomState(NORM_SEED + list(NORM_CASES).index(case))
    size = np.ones(shape[-1])
    size[0] = 3e-3
    return {
        "x": (rng.standard_normal(shape) + rng.standard_normal(shape[-1])) * size,
        "scale": rng.uniform(0.2, 1.0, shape[-1]),
        "shift": rng.uniform(-0.1, 0.1, shape[-1]),
        "cotangent": rng.standard_normal(shape),
    }


def draw_rmsprop(seed):
    """1/2 |M p - b|^2 + 1/2 sum(t (q - c)^2) in (p, q), 8 + 4 unknowns, t tiny.

    {"matrix": M [12, 8], "target": b [12], "curvature": t [4], "centre": c [4], "start": (p, q) [12]}. With q
    starting at 0, the gradients along q are about 3e-7, 1e-7, 1e-8 and 1e-9, so the place of epsilon shows.
    """
    rng = np.random.RandomState(seed)
    return {
        "matrix": rng.standard_normal((12, 8)),
        "target": 3.0 * rng.standard_normal(12),
        "curvature": np.array([1e-7, 3e-8, 3e-9, 3e-10]),
        "centre": np.array([3.0, -3.0, 3.0, -3.0]),
        "start": np.concatenate([rng.standard_normal(8), np.zeros(4)]),
    }


def rmsprop_gradient(problem, params):
    """Gradient [12] of the objective of `draw_rmsprop` at `params` [12], numpy."""
    p, q = params[:8], params[8:]
    matrix = problem["matrix"]
    first = matrix.T @ (matrix @ p - problem["target"])
    return np.concatenate([first, problem["curvature"] * (q - problem["centre"])])


def draw_image(name, rng):
    """Smooth image [h, w, c] in [-1, 1]: per channel two cosines, and a disc with a soft edge."""
    h, w, c = NETWORKS[name].shape
    rows = np.linspace(-1.0, 1.0, h)[:, None, None]
    cols = np.linspace(-1.0, 1.0, w)[None, :, None]
    rate = rng.uniform(0.5, 1.5, (4, c))
    phase = rng.uniform(0.0, 2.0 * np.pi, (2, c))
    centre = rng.uniform(-0.3, 0.3, 2)
    waves = np.cos(np.pi * (rate[0] * rows + rate[1] * cols) + phase[0])
    waves = waves + np.cos(np.pi * (rate[2] * rows - rate[3] * cols) + phase[1])
    distance = np.sqrt((rows - centre[0]) ** 2 + (cols - centre[1]) ** 2)
    disc = 1.0 / (1.0 + np.exp((distance - 0.5) / 0.05))
    return 0.3 * waves + 0.8 * disc - 0.4


def draw_problem(name, m, seed):
    """{"A": [m, n], "image": [h, w, c], "y": [m]}: A of N(0, 1/m) entries, y = A x without noise.

    x is the image flattened row-major in (h, w, c) order.
    """
    rng = np.random.RandomState(seed)
    n = int(np.prod(NETWORKS[name].shape))
    matrix = rng.standard_normal((m, n)) / np.sqrt(m)
    image = draw_image(name, rng)
    return {"A": matrix, "image": image, "y": matrix @ image.reshape(-1)}


class UntrainedSpec(NamedTuple):
    """A network besides the DCGANs: its image shape, shape of its latent and settings of its class, by name."""

    generator: str
    shape: tuple
    latent: tuple
    settings: dict


# untrained.npz. Sides that no power of two divides, so that the image is cut from the centre; seeds go by position.
UNTRAINED = {
    "unet_reflect_bilinear": UntrainedSpec(
        "unet", (34, 45, 2), (36, 48, 5), {"width": 6, "scales": 2, "skip": 3, "input_depth": 5}
    ),
    "unet_zero_nearest": UntrainedSpec(
        "unet",
        (21, 35, 1),
        (24, 40, 4),
        {"width": 5, "scales": 3, "skip": 2, "input_depth": 4, "padding": "zero", "upsampling": "nearest"},
    ),
    "unet_without_skips": UntrainedSpec(
        "unet", (9, 6, 3), (10, 6, 3), {"width": 4, "scales": 1, "skip": 0, "input_depth": 3}
    ),
    "conv_decoder": UntrainedSpec("conv_decoder", (19, 27, 3), (5, 7, 6), {"channels": 6, "doublings": 2}),
    "siren": UntrainedSpec("siren", (9, 14, 2), (9, 14, 2), {"hidden": 16, "layers": 2}),
}
UNTRAINED_SEED = 81


def untrained_shapes(case):
    """{"layer/tensor": shape} of a network of UNTRAINED; kernels are [k, k, in, out] or [in, out]."""
    spec, shapes = UNTRAINED[case], {}
    size = spec.settings

    def layer(name, *kernel, norm=True):
        channels = kernel[-1]
        shapes[f"{name}/kernel"] = kernel
        shapes.update({f"{name}/{part}": (channels,) for part in (("scale", "shift") if norm else ("bias",))})

    if spec.generator == "unet":
        inputs, width, skip = size["input_depth"], size["width"], size["skip"]
        for i in range(size["scales"]):
            layer(f"down_{i}", 3, 3, inputs, width)
            layer(f"inner_{i}", 3, 3, width, width)
            if skip:
                layer(f"skip_{i}", inputs, skip)
            shapes.update({f"merge_{i}/{part}": (width + skip,) for part in ("scale", "shift")})
            layer(f"up_{i}", 3, 3, width + skip, width)
            layer(f"mix_{i}", width, width)
            inputs = width
        layer("pixels", width, spec.shape[2], norm=False)
    elif spec.generator == "conv_decoder":
        for i in range(size["doublings"] + 1):
            layer(f"layer_{i}", 3, 3, size["channels"], size["channels"])
        shapes["pixels/kernel"] = (size["channels"], spec.shape[2])
    else:
        inputs = 2
        for i in range(size["layers"] + 1):
            outputs = size["hidden"] if i < size["layers"] else spec.shape[2]
            layer(f"layer_{i}", inputs, outputs, norm=False)
            inputs = outputs
    return shapes


def draw_untrained(case):
    """Latent, {"layer/tensor": array} and cotangent of the image, of a network of UNTRAINED.

    Kernels U(-b, b), b = 1 / sqrt(inputs taps); scales U(0.5, 1.5), shifts and biases U(-0.1, 0.1); latent U(-1, 1).
    """
    rng = np.random.RandomState(UNTRAINED_SEED + list(UNTRAINED).index(case))
    tensors = {}
    for name, shape in untrained_shapes(case).items():
        bound = 1.0 / np.sqrt(np.prod(shape[:-1])) if len(shape) > 1 else 0.1
        low, high = (0.5, 1.5) if name.endswith("scale") else (-bound, bound)
        tensors[name] = rng.uniform(low, high, shape)
    spec = UNTRAINED[case]
    return rng.uniform(-1.0, 1.0, spec.latent), tensors, rng.standard_normal(spec.shape)


def samples(gradients):
    """Some entries of each array, one after the other."""
    flat = [np.asarray(gradient).reshape(-1) for gradient in gradients]
    return np.concatenate([x[sample_indices(x.size, GRADIENT_COUNT, GRADIENT_SEED)] for x in flat])
