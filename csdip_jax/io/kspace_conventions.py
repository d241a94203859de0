"""Conventions of k-space and the nature of its image, as the samples tell them, with a note on each for the user."""

import math

import numpy as np

from csdip_jax.data.pixels import checked_range
from csdip_jax.io import kspace
from csdip_jax.types import InputError

DEFAULT_RANGE = (-1.0, 1.0)  # of pixels, where none is given
ROUNDING = 1e-6
"""A phase, in radians, up to which none is worth a word."""


def of_real_image(grid, chosen, pixel_range, force_real, suspects) -> tuple[np.ndarray, float, list[str]]:
    """Samples without their image's constant phase, what noise has of energy in one, and notes on contradictions.

    Args:
        grid: samples [h, w, c], DC at [0, 0].
        chosen: [h, w], True = measured.
        pixel_range: (black, white), or None where unknown.
        force_real: whether a complex image is let pass.
        suspects: the options that would look like a complex image if they were wrong.
    """
    found, notes = kspace.symmetry(grid, chosen), []
    noise = found.noise if found.pairs >= kspace.FEW else float(np.median(np.abs(grid[chosen]) ** 2))
    phase = kspace.common_phase(grid, chosen) if found.share > max(5 * found.deviation, 1e-4) else 0.0
    brightness = float((grid[0, 0] * np.exp(-1j * phase)).real.sum())
    sign = np.sign(sum(pixel_range)) if pixel_range and math.prod(pixel_range) >= 0 else float(phase != 0)
    if brightness * sign < 0 and brightness**2 > 25 * noise:
        phase += math.pi if phase <= 0 else -math.pi
    if phase:
        grid = grid * np.exp(-1j * phase)
        if abs(phase) > ROUNDING:
            notes.append(f"a constant phase of {phase:.3g} rad is taken out of the image")
        found = kspace.symmetry(grid, chosen)
    contradiction = f"samples at k and -k contradict a real image by {100 * found.share:.2g} % of their energy"
    if found.share > max(5 * found.deviation, 0.05) and found.pairs >= kspace.FEW and not force_real:
        raise InputError(
            f"{contradiction}: it is complex, which is not reconstructed yet (or {suspects} is wrong); "
            "`force_real=True` fits a real image all the same"
        )
    if found.pairs < kspace.FEW:
        few = f"only {found.pairs} samples have" if found.pairs else "no sample has"
        notes.append(f"{few} another one at -k: a real image is assumed, and cannot be checked")
    elif found.share > max(5 * found.deviation, 1e-3):
        notes.append(f"{contradiction}; a real image is fitted")
    elif found.noise_share > 0.05:
        notes.append(f"samples at k and -k differ by {100 * found.noise_share:.2g} % of their energy, taken for noise")
    return grid, noise, notes


def scaled(grid, chosen, noise, pixel_range, norm) -> tuple[np.ndarray, float, tuple[float, float], list[str]]:
    """Samples of the unitary DFT, what they were divided by, the pixel range, and notes on both.

    Args:
        grid, chosen: as above.
        noise: energy of the noise in one sample.
        pixel_range: (black, white), "auto" or None, see `measurements.with_mask`.
        norm: "ortho", "backward", "forward" or "auto".
    """
    root, asked, told = math.sqrt(chosen.size), norm, pixel_range is not None
    scales = {"ortho": 1.0, "backward": root, "forward": 1 / root}
    if pixel_range == "auto":
        norm = "ortho" if asked == "auto" else norm
        pixel_range, pixels = _estimated_range(grid / scales[norm], chosen)
        notes = [*_scale_notes(grid, asked, norm), pixels]
        return grid / scales[norm], scales[norm], pixel_range, notes
    low, high = pixel_range = checked_range(pixel_range or DEFAULT_RANGE)
    misfits = {name: kspace.misfit(grid, chosen, scale, pixel_range, noise) for name, scale in scales.items()}
    if asked == "auto":
        fitting = [name for name in ("ortho", "backward") if not misfits[name]]
        used = np.ptp(kspace.pixel_bounds(grid, chosen, False)) / abs(high - low)  # as ortho
        if told and fitting == ["ortho", "backward"] and not misfits["forward"] and 0 < used < 0.1:
            fitting = ["forward"]
        elif not fitting:
            fitting = [min(misfits, key=lambda name: misfits[name]) if told else "ortho"]
        norm = fitting[0]
    notes = _scale_notes(grid, asked, norm)
    grid = grid / scales[norm]
    darkest, brightest = kspace.pixel_bounds(grid, chosen)
    pixels = f"pixels of about {darkest:.3g} to {brightest:.3g}"
    hardly = 0 < max(abs(darkest), abs(brightest)) < 0.02
    if misfits[norm] > (10 if told else 0) or (hardly and not told):
        other = f"; backward: {root:.3g} times less" if asked == "auto" and norm == "ortho" else ""
        raise InputError(
            f"the measurements are of {pixels} (`norm={norm!r}`{other}), not of {low:g} to {high:g}: "
            f"give `pixel_range=({darkest:.3g}, {brightest:.3g})` or so"
        )
    if misfits[norm]:
        notes.append(f"{pixels} by the samples (`norm={norm!r}`), beyond the range of {low:g} to {high:g}")
    elif not told:
        notes.append(f"pixel range -1 to 1 taken, {pixels} by the samples; `pixel_range` sets it")
    elif 1e-6 < (brightest - darkest) / abs(high - low) < 0.05:
        notes.append(f"{pixels} by the samples (`norm={norm!r}`): a small part of the range of {low:g} to {high:g}")
    return grid, scales[norm], pixel_range, notes


def _scale_notes(grid: np.ndarray, asked: str, norm: str) -> list[str]:
    if asked != "auto":
        return []
    largest = f"{np.abs(grid).max():.4g}"
    return [f"DFT taken to be scaled as numpy's norm={norm!r} (largest |sample| {largest}); `norm` sets it"]


def _estimated_range(grid: np.ndarray, chosen: np.ndarray) -> tuple[tuple[float, float], str]:
    """(black, white) as samples of the unitary DFT tell of them, and a note."""
    if not chosen[0, 0]:
        raise InputError(
            "`pixel_range='auto'`: the mask leaves out DC, the mean pixel; give `pixel_range=(black, white)`"
        )
    darkest, brightest = kspace.pixel_bounds(grid, chosen)
    margin = 0.1 * (brightest - darkest) or 0.1 * abs(brightest) or 1.0
    low, high = darkest - margin, brightest + margin
    pixels = f"pixels of about {darkest:.3g} to {brightest:.3g}"
    return (low, high), f"{pixels} estimated, range {low:.3g} to {high:.3g}; `pixel_range` sets it"


def in_natural_place(grid, chosen, origin) -> tuple[np.ndarray, list[str]]:
    """Samples of the image with its origin in the corner, and a note on where it was ("auto", "corner", "centre")."""
    notes = []
    if origin == "auto":
        centredness = kspace.centredness(kspace.zero_filled(grid, chosen))
        origin = "centre" if centredness > 0.7 else "corner"
        told = "taken to lie" if abs(centredness) > 0.7 else "cannot be told from the samples, taken to lie"
        notes.append(f"origin of the image {told} in the {origin}; `origin` sets it")
    if origin == "centre":
        grid = grid * kspace.natural_place(chosen.shape)[..., None]
    return grid, notes
