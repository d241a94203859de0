"""The networks of `inputs.UNTRAINED` in plain PyTorch; `make_torch_golden.py` writes what they give."""

import inputs
import torch
from torch.nn import functional as F


def convolve(x, kernel, padding="zero", stride=1):
    """A correlation with `kernel`, [k, k, in, out] with one pixel of padding or [in, out]."""
    if kernel.ndim == 2:
        return F.conv2d(x, kernel.T[:, :, None, None])
    padded = F.pad(x, (1, 1, 1, 1), mode={"zero": "constant", "reflect": "reflect"}[padding])
    return F.conv2d(padded, kernel.permute(3, 2, 0, 1), stride=stride)


def norm(x, weights):
    return F.batch_norm(x, None, None, weights["scale"], weights["shift"], training=True, eps=inputs.NORM_EPS)


def unet(x, weights, scales, skip, upsampling="bilinear", padding="reflect", **_):
    def block(x, name, stride=1):
        return F.leaky_relu(norm(convolve(x, weights[name]["kernel"], padding, stride), weights[name]), 0.2)

    across = []
    for i in range(scales):
        across.append([block(x, f"skip_{i}")] if skip else [])
        x = block(block(x, f"down_{i}", 2), f"inner_{i}")
    corners = {"align_corners": False} if upsampling == "bilinear" else {}
    for i in reversed(range(scales)):
        x = torch.cat([F.interpolate(x, scale_factor=2, mode=upsampling, **corners), *across[i]], 1)
        x = block(block(norm(x, weights[f"merge_{i}"]), f"up_{i}"), f"mix_{i}")
    return convolve(x, weights["pixels"]["kernel"]) + weights["pixels"]["bias"][:, None, None]


def conv_decoder(x, weights, doublings, **_):
    for i in range(doublings + 1):
        layer = weights[f"layer_{i}"]
        x = F.interpolate(x, scale_factor=2, mode="nearest") if i < doublings else x
        x = norm(F.relu(convolve(x, layer["kernel"])), layer)
    return convolve(x, weights["pixels"]["kernel"])


def siren(x, weights, layers, **_):
    for i in range(layers + 1):
        layer = weights[f"layer_{i}"]
        x = convolve(x, layer["kernel"]) + layer["bias"][:, None, None]
        x = torch.sin(30.0 * x) if i < layers else x
    return x


NETWORKS = {"unet": unet, "conv_decoder": conv_decoder, "siren": siren}


def image_and_gradients(case):
    """The image [h, w, c], and the gradients of sum(image * cotangent) by the latent and by each tensor, by name."""
    spec = inputs.UNTRAINED[case]
    latent, tensors, cotangent = inputs.draw_untrained(case)
    leaves = {name: torch.tensor(array, requires_grad=True) for name, array in {"latent": latent, **tensors}.items()}
    weights = {}
    for name, leaf in leaves.items():
        if name != "latent":
            layer, tensor = name.split("/")
            weights.setdefault(layer, {})[tensor] = leaf
    x = NETWORKS[spec.generator](leaves["latent"].permute(2, 0, 1)[None], weights, **spec.settings)
    (height, width), (h, w, _) = x.shape[2:], spec.shape
    top, left = (height - h) // 2, (width - w) // 2
    image = torch.tanh(x)[0].permute(1, 2, 0)[top : top + h, left : left + w]
    (image * torch.as_tensor(cotangent)).sum().backward()
    return image, {name: leaf.grad for name, leaf in leaves.items()}
