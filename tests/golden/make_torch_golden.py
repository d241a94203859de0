"""Write the golden reference arrays of the tests, computed with plain PyTorch.

    python tests/golden/make_torch_golden.py           # writes the .npz files beside this script
    python tests/golden/make_torch_golden.py --check   # writes nothing: how far the results move, see below

Needs the `dev` extra (torch, CPU is enough) and a minute or two. The committed files were made with
Python 3.11.7, PyTorch 2.13.0+cpu and numpy 2.4.6, on one thread, in float64 unless a key says float32.
Inputs are not stored: `inputs.py` draws them. `README.md` lists the keys.

--check fits everything anew on one thread, on two, and from weights moved by 1e-14 of themselves, compares
with one thread and with the committed file, and prints the largest relative deviations.
"""

import argparse
import os

import inputs
import numpy as np
import torch
import untrained
from torch.nn import functional as F

HERE = os.path.dirname(os.path.abspath(__file__))


def to_torch(hwc):
    """[h, w, c] array to [1, c, h, w] tensor."""
    return torch.as_tensor(hwc).permute(2, 0, 1)[None].contiguous()


def to_hwc(nchw):
    """[1, c, h, w] tensor to [h, w, c] tensor."""
    return nchw[0].permute(1, 2, 0)


def as_array(tensor):
    return np.ascontiguousarray(tensor.detach().numpy())


def apply_layer(x, weight, layer):
    if layer.upsample > 1:
        x = F.interpolate(x, scale_factor=layer.upsample, mode="nearest")
    return F.conv_transpose2d(x, weight, stride=layer.stride, padding=layer.padding)


def apply_norm(x, scale, shift):
    return F.relu(F.batch_norm(x, None, None, scale, shift, training=True, eps=inputs.NORM_EPS))


def generate(spec, z, weights, scales, shifts):
    """Image [h, w, c] of the network."""
    x = z.reshape(1, -1, 1, 1)
    last = len(spec.layers) - 1
    for position, layer in enumerate(spec.layers):
        x = apply_layer(x, weights[position], layer)
        if position < last:
            x = apply_norm(x, scales[position], shifts[position])
    image = to_hwc(torch.tanh(x))
    assert image.shape == spec.shape
    return image


def leaves(drawn, dtype=torch.float64, nudge=0.0):
    """z, and the lists of weights, scales and shifts as tensors that want gradients.

    `nudge` moves every weight by up to that much of itself, one way or the other.
    """
    rng = np.random.RandomState(0)
    lists = []
    for kind in ("weights", "scales", "shifts"):
        arrays = drawn[kind]
        if nudge:
            arrays = [a * (1.0 + nudge * rng.uniform(-1.0, 1.0, a.shape)) for a in arrays]
        lists.append([torch.tensor(a, dtype=dtype, requires_grad=True) for a in arrays])
    return torch.tensor(drawn["z"], dtype=dtype), lists


def make_layers():
    stored = {}
    for case, (layer, _) in inputs.LAYER_CASES.items():
        drawn = inputs.draw_layer(case)
        x = to_torch(drawn["x"]).requires_grad_()
        weight = torch.tensor(drawn["weight"], requires_grad=True)
        output = to_hwc(apply_layer(x, weight, layer))
        (output * torch.as_tensor(drawn["cotangent"])).sum().backward()
        stored[f"{case}/output"] = as_array(output)
        stored[f"{case}/grad_x"] = as_array(to_hwc(x.grad))
        stored[f"{case}/grad_weight"] = as_array(weight.grad)
    for case in inputs.NORM_CASES:
        drawn = inputs.draw_norm(case)
        x = to_torch(drawn["x"]).requires_grad_()
        scale = torch.tensor(drawn["scale"], requires_grad=True)
        shift = torch.tensor(drawn["shift"], requires_grad=True)
        output = to_hwc(apply_norm(x, scale, shift))
        (output * torch.as_tensor(drawn["cotangent"])).sum().backward()
        stored[f"{case}/output"] = as_array(output)
        stored[f"{case}/grad_x"] = as_array(to_hwc(x.grad))
        stored[f"{case}/grad_scale"] = as_array(scale.grad)
        stored[f"{case}/grad_shift"] = as_array(shift.grad)
    return stored


def make_networks():
    stored = {}
    for name, spec in inputs.NETWORKS.items():
        z, (weights, scales, shifts) = leaves(inputs.draw_network(name, inputs.NETWORK_SEED[name]))
        output = generate(spec, z, weights, scales, shifts)
        cotangent = inputs.draw_cotangent(spec.shape, inputs.COTANGENT_SEED[name])
        (output * torch.as_tensor(cotangent)).sum().backward()
        flat = as_array(output).reshape(-1)
        chosen = inputs.sample_indices(flat.size, inputs.OUTPUT_COUNT, inputs.OUTPUT_SEED)
        stored[f"{name}/output"] = flat[chosen]
        for kind, tensors in (("weight", weights), ("scale", scales), ("shift", shifts)):
            for position, tensor in enumerate(tensors):
                flat = as_array(tensor.grad).reshape(-1)
                chosen = inputs.sample_indices(flat.size, inputs.GRADIENT_COUNT, inputs.GRADIENT_SEED)
                stored[f"{name}/{kind}{position}/norm"] = np.linalg.norm(flat)
                stored[f"{name}/{kind}{position}/grad"] = flat[chosen]
    return stored


def make_untrained():
    stored = {}
    for case in inputs.UNTRAINED:
        image, gradients = untrained.image_and_gradients(case)
        stored[f"{case}/image"] = as_array(image)
        stored[f"{case}/gradients"] = inputs.samples(as_array(gradient) for gradient in gradients.values())
    return stored


def make_rmsprop():
    drawn = inputs.draw_rmsprop(inputs.RMSPROP_SEED)
    stored = {}
    for label, dtype in (("float64", torch.float64), ("float32", torch.float32)):
        tensors = {key: torch.tensor(value, dtype=dtype) for key, value in drawn.items()}
        matrix, target = tensors["matrix"], tensors["target"]
        curvature, centre = tensors["curvature"], tensors["centre"]
        params = tensors["start"].requires_grad_()
        optimizer = torch.optim.RMSprop([params], **inputs.RMSPROP)
        kept = []
        for step in range(1, max(inputs.RMSPROP_STEPS) + 1):
            optimizer.zero_grad()
            p, q = params[:8], params[8:]
            loss = 0.5 * ((matrix @ p - target) ** 2).sum() + 0.5 * (curvature * (q - centre) ** 2).sum()
            loss.backward()
            if label == "float64":
                expected = inputs.rmsprop_gradient(drawn, as_array(params))
                np.testing.assert_allclose(as_array(params.grad)[:8], expected[:8], rtol=1e-9, atol=1e-11)
                np.testing.assert_allclose(as_array(params.grad)[8:], expected[8:], rtol=1e-12)
            optimizer.step()
            if step in inputs.RMSPROP_STEPS:
                kept.append(as_array(params).copy())
        stored[label] = np.stack(kept)
    return stored


def total_variation(image):
    """Anisotropic, a sum, of an image [h, w, c]."""
    return (image[1:] - image[:-1]).abs().sum() + (image[:, 1:] - image[:, :-1]).abs().sum()


def fit(name, setting, dtype=torch.float64, nudge=0.0):
    """Losses of the iterates, each before its update, and the image of the one that the setting picks."""
    spec = inputs.NETWORKS[name]
    problem = inputs.draw_problem(name, inputs.FIT_M[name], inputs.FIT_PROBLEM_SEED[name])
    matrix = torch.tensor(problem["A"], dtype=dtype)
    measured = torch.tensor(problem["y"], dtype=dtype)
    z, lists = leaves(inputs.draw_network(name, inputs.FIT_NETWORK_SEED[name]), dtype, nudge)
    optimizer = torch.optim.RMSprop([tensor for tensors in lists for tensor in tensors], **inputs.RMSPROP)
    images = []
    result = {"measurement_loss": [], "total_loss": []}
    for _ in range(inputs.FIT_STEPS):
        optimizer.zero_grad()
        image = generate(spec, z, *lists)
        misfit = ((matrix @ image.reshape(-1) - measured) ** 2).sum()
        loss = misfit + inputs.FIT_TV_WEIGHT[setting][name] * total_variation(image)
        loss.backward()
        result["measurement_loss"].append(misfit.item())
        result["total_loss"].append(loss.item())
        images.append(as_array(image).reshape(-1))
        optimizer.step()
    result = {key: np.array(value) for key, value in result.items()}
    start = inputs.FIT_STEPS - min(inputs.FIT_WINDOW[setting], inputs.FIT_STEPS)
    picked = start + int(np.argmin(result[inputs.FIT_PICKED_BY[setting]][start:]))
    chosen = inputs.sample_indices(images[picked].size, inputs.FIT_IMAGE_COUNT, inputs.FIT_IMAGE_SEED)
    return {**result, "index": np.array(picked), "image": images[picked][chosen]}


def make_fits():
    stored = {}
    for name in inputs.NETWORKS:
        for setting in inputs.FIT_TV_WEIGHT:
            for key, value in fit(name, setting).items():
                stored[f"{name}/{setting}/{key}"] = value
    return stored


def deviation(one, other):
    """Losses: largest relative one, and the iterate where it is; image: largest over its largest entry."""
    ratios = {}
    for key in ("measurement_loss", "total_loss"):
        ratio = np.abs(one[key] - other[key]) / np.abs(other[key])
        ratios[key] = f"{ratio.max():.1e} (at {ratio.argmax()})"
    ratios["image"] = f"{np.abs(one['image'] - other['image']).max() / np.abs(other['image']).max():.1e}"
    ratios["index"] = f"{int(one['index'])} and {int(other['index'])}"
    return ", ".join(f"{key} {text}" for key, text in ratios.items())


def check():
    committed = np.load(os.path.join(HERE, "fits.npz"), allow_pickle=False)
    for name in inputs.NETWORKS:
        for setting in inputs.FIT_TV_WEIGHT:
            torch.set_num_threads(1)
            base = fit(name, setting)
            nudged = fit(name, setting, nudge=1e-14)
            single = fit(name, setting, dtype=torch.float32)
            torch.set_num_threads(2)
            two = fit(name, setting)
            stored = {key: committed[f"{name}/{setting}/{key}"] for key in base}
            first, last = base["measurement_loss"][[0, -1]]
            print(f"{name} {setting}: measurement loss {first:.4g} to {last:.4g}")
            print("  committed  :", deviation(base, stored))
            print("  two threads:", deviation(two, base))
            print("  nudged     :", deviation(nudged, base))
            print("  float32    :", deviation(single, base), flush=True)


def main():
    parser = argparse.ArgumentParser(description="Write the golden reference arrays of the tests.")
    parser.add_argument("--check", action="store_true", help="write nothing, print how far the fits move")
    if parser.parse_args().check:
        check()
        return
    torch.set_num_threads(1)
    makers = {"layers": make_layers, "networks": make_networks, "untrained": make_untrained}
    makers |= {"rmsprop": make_rmsprop, "fits": make_fits}
    for label, make in makers.items():
        path = os.path.join(HERE, f"{label}.npz")
        stored = make()
        np.savez(path, **stored)
        print(f"{label}.npz: {len(stored)} arrays, {os.path.getsize(path)} bytes", flush=True)


if __name__ == "__main__":
    main()
