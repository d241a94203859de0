"""The PyTorch worker: the plain implementation, no more than torch.nn and torch.optim offer; U-Nets compiled, too."""

import os
import shutil
import sys

import numpy as np
import torch
from torch import nn

from experiments.benchmark import cases
from experiments.benchmark.torch_unet import SkipNetwork
from experiments.benchmark.worker import Side, serve

MEMORY_FORMATS = {"plain": torch.contiguous_format, "channels_last": torch.channels_last}
COMPILERS = ("c++", "g++", "clang++")
"""Of which `torch.compile` needs one on a CPU."""


def make_network(layers: list[dict], latent_dim: int) -> nn.Sequential:
    """The generator; `layers` as dictionaries of `csdip_jax.kernels.convolution.ConvTranspose`."""
    modules, inputs = [], latent_dim
    for i, layer in enumerate(layers):
        if layer["upsample"] > 1:
            modules.append(nn.Upsample(scale_factor=layer["upsample"], mode="nearest"))
        sizes = (layer["kernel"], layer["stride"], layer["padding"])
        modules.append(nn.ConvTranspose2d(inputs, layer["features"], *sizes, bias=False))
        if i < len(layers) - 1:
            modules += [nn.BatchNorm2d(layer["features"]), nn.ReLU(inplace=True)]
        inputs = layer["features"]
    return nn.Sequential(*modules, nn.Tanh())


class Fit:
    """One network on its way, on one device and in one memory format, compiled or not."""

    def __init__(self, device, memory_format, compiled, network, arrays, matrix, tv_weight):
        latent = torch.tensor(arrays["latent"])
        latent = latent.reshape(1, -1, 1, 1) if latent.ndim == 1 else latent.permute(2, 0, 1)[None]
        convolutions = (nn.Conv2d, nn.ConvTranspose2d)
        self.kernels = [module.weight for module in network.modules() if isinstance(module, convolutions)]
        with torch.no_grad():
            for i, parameter in enumerate(network.parameters()):
                parameter.copy_(torch.tensor(arrays[f"arr_{i}"]))
        network.to(device, memory_format=memory_format)
        self.network = torch.compile(network) if compiled else network
        self.latent = latent.to(device).contiguous(memory_format=memory_format)
        target = torch.tensor(arrays["target"]).permute(2, 0, 1)[None]
        self.target = target.to(device).contiguous(memory_format=memory_format)
        self.matrix, self.tv_weight = matrix, tv_weight
        self.measurements = torch.tensor(arrays["measurements"]).to(device)
        self.optimizer = torch.optim.RMSprop(network.parameters(), lr=1e-3, alpha=0.99, eps=1e-8, momentum=0.9)

    def loss(self) -> torch.Tensor:
        """The objective of CS-DIP; without a matrix the squared error of the network's image."""
        image = self.network(self.latent)
        if self.matrix is None:
            return (image - self.target).square().sum()
        pixels = image[0].permute(1, 2, 0).reshape(-1)  # the columns of A count pixels over (h, w, c)
        vertical, horizontal = image[:, :, 1:] - image[:, :, :-1], image[..., 1:] - image[..., :-1]
        total_variation = vertical.abs().sum() + horizontal.abs().sum()
        return (self.matrix @ pixels - self.measurements).square().sum() + self.tv_weight * total_variation

    def value_and_gradient(self) -> torch.Tensor:
        """The loss; the gradients are left at the parameters."""
        self.optimizer.zero_grad()
        loss = self.loss()
        loss.backward()
        return loss

    def run(self, steps: int) -> None:
        """So many steps of the optimiser, to their end on the device."""
        for _ in range(steps):
            self.value_and_gradient()
            self.optimizer.step()
        if self.latent.is_cuda:
            torch.cuda.synchronize()


class TorchSide(Side):
    """Answers the parent's requests; a variant is a memory format, eager or compiled."""

    def __init__(self, device: str):
        self.device = device
        torch.backends.cudnn.benchmark = True

    def prepare(self, name: str, num_measurements: int, path: str, layers: list[dict], largest: list[int]) -> dict:
        """Loads the weights that the JAX worker wrote to `path`; arguments as those of its `prepare`.

        Returns:
            Per variant the loss and the entries `largest` of the kernels' gradients.
        """
        self.runs = {}  # frees the last network's arrays
        case = cases.CASES[name]
        matrix = None
        if num_measurements:
            matrix = torch.from_numpy(cases.matrix(num_measurements, case.image_shape)).to(self.device)
        answers = {}
        variants = {name: (memory_format, False) for name, memory_format in MEMORY_FORMATS.items()}
        if case.unet and (self.device != "cpu" or any(map(shutil.which, COMPILERS))):
            variants |= {f"compiled {name}": (memory_format, True) for name, memory_format in MEMORY_FORMATS.items()}
        for variant, settings in variants.items():
            if case.unet:
                network = SkipNetwork(case.latent_dim, case.image_shape[2], **case.unet)
            else:
                network = make_network(layers, case.latent_dim)
            with np.load(path) as arrays:
                fit = Fit(self.device, *settings, network, arrays, matrix, cases.TV_WEIGHT)
            self.runs[variant] = fit.run
            with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):  # see the JAX worker's `prepare`
                loss = fit.value_and_gradient().item()
            gradient = [kernel.grad.reshape(-1)[i].item() for kernel, i in zip(fit.kernels, largest, strict=True)]
            answers[variant] = {"loss": loss, "gradient": gradient}
        return answers


if __name__ == "__main__":
    _, device = sys.argv
    if device == "cuda" and not torch.cuda.is_available():
        sys.exit("error: this PyTorch finds no NVIDIA GPU: install a build for CUDA, or take --device=cpu")
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    serve(TorchSide(device))
