"""The pictures of the theorem check, one or two per section."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from csdip_jax.commands.pictures import plt, save_figure
from experiments.theorem_check import early_stopping, theory
from experiments.theorem_check.claims import of_fits
from experiments.theorem_check.compressed import KINDS
from experiments.theorem_check.descent import expected_factor
from experiments.theorem_check.lemmas import frame
from experiments.theorem_check.spectra import QUANTILES


def save(folder: Path, section: str, rows: Sequence[dict]) -> list[Path]:
    """The pictures of a section; where they are."""
    paths = []
    for name, draw in FIGURES[section].items():
        paths.append(folder / f"{name}.png")
        save_figure(paths[-1], draw(rows))
    return paths


def _panels(count: int, columns: int, size: tuple[float, float]):
    """A figure and `count` axes, in rows of `columns`; what is left over is blank."""
    columns = min(columns, count)
    rows = -(-count // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(size[0] * columns, size[1] * rows), squeeze=False, layout="constrained"
    )
    for axis in axes.flat:
        axis.grid(alpha=0.3)
    for axis in axes.flat[count:]:
        axis.set_axis_off()
    return figure, axes.flat[:count]


def _certified(scales: Sequence[float]) -> int:
    """The place of c = 1/16 among some step scales, of the first where it is not there."""
    return scales.index(theory.CERTIFIED_SCALE) if theory.CERTIFIED_SCALE in scales else 0


def convergence(rows: Sequence[dict]):
    """Misfit against the step beside the bound, a panel per width."""
    groups = {ratio: [row for row in rows if row["ratio"] == ratio] for ratio in sorted({r["ratio"] for r in rows})}
    figure, axes = _panels(len(groups), 5, (2.9, 2.7))
    for axis, (ratio, group) in zip(axes, groups.items(), strict=True):
        _curves(axis, {f"n = {row['pixels']}": row for row in group}, group[-1])
        axis.set_title(f"d = {ratio:g} n", fontsize=9)
    axes[0].legend(fontsize=7)
    figure.supylabel(r"$\|V\,\mathrm{relu}(W_t z) - y\|\,/\,\|y\|$", fontsize=10)
    scales = rows[0]["scales"]
    figure.supxlabel(f"step t + 1, c = {scales[_certified(scales)]:.3g}", fontsize=10)
    return figure


def _curves(axis, rows: Mapping[str, dict], bound_of: dict) -> None:
    """Misfit against the step by label, the median, all seeds between the edges, and the bound of one of them."""
    column, steps = _certified(bound_of["scales"]), np.array(bound_of["steps"])
    for number, (label, row) in enumerate(rows.items()):
        low, median, high = (row["curve"][name][column] for name in ("low", "median", "high"))
        axis.loglog(1 + steps, median, lw=1.2, label=label, color=f"C{number}")
        axis.fill_between(1 + steps, low, high, color=f"C{number}", alpha=0.2, lw=0)
    bound = theory.misfit_bound(steps, bound_of["scales"][column], bound_of["pixels"], bound_of["width"])
    axis.loglog(1 + steps, bound, "k--", lw=1, label="bound")
    axis.set_ylim(3e-7, 10)


def steps(rows: Sequence[dict]):
    """Which steps and widths keep the bound, how many ReLUs are left, and how fast the misfit falls."""
    figure, (share, rates, bound, relus) = _panels(4, 2, (5.2, 4.0))
    fits, scales = of_fits(rows), rows[0]["scales"]
    certified = scales[_certified(scales)]
    for number, (pixels, group) in enumerate(fits.groupby("pixels")):
        held = group.pivot_table(index="ratio", columns="scale", values="held")
        for scale, style in zip(sorted({certified, scales[-1]}), ("o-", "x:"), strict=False):
            label = f"n = {pixels}, c = {scale:.3g}"
            share.semilogx(held.index, held[scale], style, ms=4, lw=1, color=f"C{number}", label=label)
        of_scale = group[group.scale == certified]
        factors = of_scale.rate / theory.certified_rate(certified, of_scale.pixels, of_scale.width)
        rates.loglog(of_scale.ratio, factors, ".", ms=4, color=f"C{number}", label=f"n = {pixels}")
    largest = fits[fits.pixels == fits.pixels.max()]
    ratios = np.unique(largest.ratio)
    wide = np.geomspace(max(2.2, ratios[0]), max(2.5, ratios[-1]), 200)
    rates.loglog(wide, [expected_factor(1e6, 1e6 * ratio) for ratio in wide], "k-", lw=1, label="large n")
    rates.axhline(1, color="k", ls="--", lw=1, label="certified")
    share.set_title("Seeds for which the bound holds at every step", fontsize=9)
    rates.set_title(f"Rate of decay over the certified rate, c = {certified:.3g}", fontsize=9)
    for axis in (share, rates):
        axis.set_xticks(ratios, [f"{ratio:g}" for ratio in ratios], fontsize=7)
        axis.minorticks_off()
        axis.set_xlabel("d / n")
        axis.legend(fontsize=6.5)
    pixels = largest.pixels.iloc[0]
    _map(figure, bound, largest, "held", f"Share of the seeds that keep the bound, n = {pixels}")
    _map(figure, relus, largest, "active", f"ReLUs on at the end, n = {pixels}")
    return figure


def _map(figure, axis, fits: pd.DataFrame, name: str, title: str) -> None:
    """The mean over the seeds, step scale against d / n, and the scale from which gradient descent overshoots."""
    values = fits.pivot_table(index="scale", columns="ratio", values=name)
    axis.grid(False)
    shown = axis.imshow(values.astype(float), origin="lower", aspect="auto", cmap="viridis", vmin=0, vmax=1)
    axis.set_xticks(range(values.shape[1]), [f"{ratio:g}" for ratio in values.columns])
    axis.set_yticks(range(values.shape[0]), [f"{scale:.3g}" for scale in values.index])
    sizes = fits.groupby("ratio")[["pixels", "width"]].first().to_numpy()
    stable = [float(theory.stable_scale(*size)) for size in sizes]
    at = np.interp(stable, values.index, range(values.shape[0]), left=np.nan, right=np.nan)
    axis.plot(at, "r.--", lw=1, label=r"$\eta\,\sigma_{\max}^2 = 2$")
    axis.set_xlabel("d / n")
    axis.set_ylabel("step scale c")
    axis.set_title(title, fontsize=9)
    axis.legend(fontsize=7, loc="upper left")
    figure.colorbar(shown, ax=axis).ax.tick_params(labelsize=7)


LEMMA_PANELS = {
    "B.1": r"B.1: $\sigma_{\min}(J(W_0))$ over its bound (above 1)",
    "B.1 at the end": r"$\sigma_{\min}(J(W_T))$ over the same (above 1/2, which is $\alpha$)",
    "B.2, gradient descent": r"B.2: $\|J(W_T) - J(W_0)\|\,/\,\alpha$ (below 1)",
    "B.3": r"B.3: $\|J\|$ over its bound (below 1)",
    "B.4": r"B.4: first misfit over $3\|y\|$ (below 1)",
    "C.2, path": "C.2: ReLUs that the worst W switches, over the bound\n(below 1; R as far as gradient descent went)",
}


def lemmas(rows: Sequence[dict]):
    """Each lemma's left side over its right side against d / n, a dot per seed, a colour per n."""
    figure, axes = _panels(len(LEMMA_PANELS), 3, (4.0, 3.1))
    sizes = frame(rows).groupby("pixels")
    for axis, (name, title) in zip(axes, LEMMA_PANELS.items(), strict=True):
        for number, (pixels, group) in enumerate(sizes):
            ratio, values = group.ratio * 1.06 ** (number - len(sizes) / 2), group[name].clip(lower=1e-4)
            axis.loglog(ratio, values, ".", ms=3, color=f"C{number}", label=f"n = {pixels}")  # zeros at the lower edge
        axis.axhline(0.5 if name == "B.1 at the end" else 1, color="k", ls="--", lw=1)
        axis.set_title(title, fontsize=8.5)
        axis.set_xlabel("d / n")
    axes[0].legend(fontsize=7)
    return figure


def compressed(rows: Sequence[dict]):
    """Misfit against the step with A and without, a panel per m and width."""
    groups = {}
    for row in rows:
        groups.setdefault((row["lines"], row["ratio"]), {})[KINDS[row["operator"]]] = row
    figure, axes = _panels(len(groups), 3, (3.6, 3.0))
    for axis, ((_, ratio), group) in zip(axes, groups.items(), strict=True):
        first = next(iter(group.values()))
        _curves(axis, group, first)
        axis.set_title(f"m = {first['pixels']}, d = {ratio:g} m", fontsize=9)
    axes[0].legend(fontsize=7)
    figure.supylabel(r"$\|A V\,\mathrm{relu}(W_t z) - y\|\,/\,\|y\|$", fontsize=10)
    figure.supxlabel("step t + 1, c = 1/16", fontsize=10)
    return figure


def stopping(rows: Sequence[dict]):
    """Misfit to y and error to x* against the step; the dot is where one would have had to stop."""
    figure, axes = _panels(len(rows), 2, (5.0, 3.5))
    for axis, row in zip(axes, rows, strict=True):
        steps, misfit, error = 1 + np.array(row["steps"]), np.array(row["misfit"]), np.array(row["error"])
        axis.semilogx(steps, np.median(misfit, 0), color="C0", label=r"misfit to $y$, $\|G - y\|/\|y\|$")
        axis.semilogx(steps, np.median(error, 0), color="C1", label=r"error to $x^*$, $\|G - x^*\|/\|x^*\|$")
        for curves, color in ((misfit, "C0"), (error, "C1")):
            axis.fill_between(steps, curves.min(0), curves.max(0), color=color, alpha=0.2, lw=0)
        best, step = np.median(row["best_error"]), np.median(row["best_step"])
        axis.plot(1 + step, best, "ko", ms=5, label=f"best: {best:.3f} at step {step:.0f}")
        axis.axhline(row["noise"], color="k", ls=":", lw=1, label=r"error of $y$ itself")
        if row["network"] == "one layer":
            width = row["width"]
            expected = early_stopping.expected_error(steps - 1, row["noise"], row["pixels"], width)
            axis.semilogx(steps, expected, "k--", lw=1, label="expected for d >> n")
        axis.set_ylim(0, 1.3)
        axis.set_title(f"{row['network']}, {row['pixels']} pixels, noise {row['noise']:g} ||x*||", fontsize=9)
        axis.legend(fontsize=7, loc="lower left")
        axis.set_xlabel("step t + 1")
    return figure


def spectra(rows: Sequence[dict]):
    """The share of the squared singular values below a value, all seeds, and the law for large n."""
    figure, axes = _panels(len(rows), 4, (3.2, 2.9))
    for axis, row in zip(axes, rows, strict=True):
        for values in row["quantiles"]:
            axis.plot(values, QUANTILES, lw=1, color="C0")
        axis.plot([], [], color="C0", label=f"{len(row['quantiles'])} seeds")
        axis.plot(*marchenko_pastur(row["pixels"], row["width"]), "k--", lw=1, label="Marchenko-Pastur")
        axis.axvline(0.5, color="C3", lw=1, ls=":", label="bound of B.1, squared")
        axis.set_title(f"n = {row['pixels']}, d = {row['ratio']:g} n", fontsize=9)
        axis.set_xlabel(r"$\sigma^2(J)\,/\,(\nu^2 \|z\|^2 d/2)$", fontsize=9)
    axes[0].set_ylabel("share below")
    axes[0].legend(fontsize=7)
    return figure


def marchenko_pastur(pixels: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Its distribution function on a grid, for n x d/2 standard normal entries; for d >= 2 n."""
    low, high = theory.marchenko_pastur_edges(pixels, width)
    x = (low + high) / 2 - (high - low) / 2 * np.cos(np.linspace(0, np.pi, 500))  # dense at the edges
    density = np.sqrt(np.maximum((high - x) * (x - low), 0)) / np.maximum(x, 1e-12)
    parts = np.diff(x) * (density[1:] + density[:-1]) / 2
    return x, np.concatenate([[0], np.cumsum(parts)]) / parts.sum()


FIGURES: dict[str, dict[str, Callable]] = {
    "descent": {"convergence": convergence, "steps": steps},
    "lemmas": {"lemmas": lemmas},
    "compressed": {"compressed": compressed},
    "early_stopping": {"early_stopping": stopping},
    "spectra": {"spectra": spectra},
}
