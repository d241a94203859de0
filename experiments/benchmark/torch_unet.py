"""The skip U-Net in plain PyTorch, of `torch.nn` alone."""

import torch
from torch import nn
from torch.nn import functional as F


def block(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """A convolution, BatchNorm and leaky ReLU."""
    padding = {"padding": 1, "padding_mode": "reflect"} if kernel > 1 else {}
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, bias=False, **padding)
    return nn.Sequential(convolution, norm(outputs), nn.LeakyReLU(0.2))


def norm(channels: int) -> nn.BatchNorm2d:
    """BatchNorm without running statistics, which nothing asks for."""
    return nn.BatchNorm2d(channels, track_running_stats=False)


class SkipNetwork(nn.Module):
    """That of `csdip_jax.generators.UNet`, with bilinear upsampling, reflecting borders and skips; modules by name."""

    def __init__(self, inputs: int, outputs: int, width: int, scales: int, skip: int):
        super().__init__()
        layers = {"pixels": nn.Conv2d(width, outputs, 1)}
        for i in range(scales):
            layers[f"down_{i}"] = block(inputs, width, stride=2)
            layers[f"inner_{i}"] = block(width, width)
            layers[f"skip_{i}"] = block(inputs, skip, kernel=1)
            layers[f"merge_{i}"] = norm(width + skip)
            layers[f"up_{i}"] = block(width + skip, width)
            layers[f"mix_{i}"] = block(width, width, kernel=1)
            inputs = width
        self.scales, self.layers = scales, nn.ModuleDict(dict(sorted(layers.items())))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The image [1, c, h, w] of a latent [1, k, h, w], sides that 2^scales divides."""
        layers, across = self.layers, []
        for i in range(self.scales):
            across.append(layers[f"skip_{i}"](x))
            x = layers[f"inner_{i}"](layers[f"down_{i}"](x))
        for i in reversed(range(self.scales)):
            x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
            x = layers[f"merge_{i}"](torch.cat([x, across[i]], 1))
            x = layers[f"mix_{i}"](layers[f"up_{i}"](x))
        return torch.tanh(layers["pixels"](x))
