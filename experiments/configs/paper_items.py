"""What each table and figure of the paper is: data, axis, methods, values, published file, kind of rendering.

Of figures 5 to 12 it is known that they show reconstructions of x-rays, digits and retinas. Which m each shows is
inferred: the reference code keeps nine finished pictures (recons_*): x-rays at m = 500, 2000 and 8000, digits at 50,
75, 100 and 200, retinas at 500 and 8000. X-rays at 2000 are figure 2, which leaves eight. Their order is a choice made
here, as are the 10 lines of figure 14.
"""

from typing import NamedTuple

from csdip_jax.types import InputError

BASELINES = ("csdip", "bm3d_amp", "tv", "lasso_dct")

COLUMNS = 6
"""Images that a figure of reconstructions shows at most."""

PUBLISHED_AS = {"tv": "tval3"}
"""Method -> its name in the published files, where that is another."""


class Setup(NamedTuple):
    """Cells that items share: one data set and operator, one folder.

    Attributes:
        data: what the images are called.
        pixels: n, the values of an image.
        counts: m, or numbers of radial lines, of the paper.
        noises: the paper's noise variances.
        fourier: radial Fourier lines instead of a Gaussian matrix.
    """

    data: str
    pixels: int
    counts: tuple[int, ...]
    noises: tuple[float, ...] = (0.0,)
    fourier: bool = False


SWEEPS = {
    "mnist": Setup("MNIST as JPEG files", 784, (25, 35, 50, 75, 100, 200)),
    "xray": Setup("x-ray", 65536, (500, 1000, 2000, 4000, 8000), (0.0, 10.0, 100.0, 1000.0)),
    "retino": Setup("retinopathy", 49152, (500, 1000, 2000, 4000, 8000)),
    "xray_fourier": Setup("x-ray", 65536, (3, 5, 10, 20), fourier=True),
}


class Item(NamedTuple):
    """A table or figure.

    Attributes:
        name: as --item takes it.
        title: for people.
        kind: of rendering: curve, reconstructions, runtime, learned_regularization or mask.
        sweep: a name of SWEEPS, or None.
        methods: in the order of legends and rows.
        counts: those of the sweep's that it shows.
        axis: of a curve: count or noise_variance.
        published: name of the file of published values, or None.
    """

    name: str
    title: str
    kind: str
    sweep: str | None = None
    methods: tuple[str, ...] = BASELINES
    counts: tuple[int, ...] = ()
    axis: str = "count"
    published: str | None = None

    @property
    def noises(self) -> tuple[float, ...]:
        """The noise variances that it shows."""
        return SWEEPS[self.sweep].noises if self.axis == "noise_variance" else (0.0,)


def _curve(name: str, number: str, sweep: str, **fields) -> Item:
    known = SWEEPS[sweep]
    what = "noise variance" if fields.get("axis") else "Fourier coefficients" if known.fourier else "measurements"
    fields = {"counts": known.counts} | fields
    return Item(name, f"Figure {number}: MSE against {what}, {known.data}", "curve", sweep, **fields)


def _reconstructions(number: int, sweep: str, count: int) -> Item:
    title = f"Figure {number}: reconstructions, {SWEEPS[sweep].data}"
    return Item(f"fig{number}", title, "reconstructions", sweep, counts=(count,))


_ALL = (
    _curve("fig1a", "1a", "xray", published="xray_5_images_mse"),
    _curve("fig1b", "1b", "mnist", published="fig1b_mnist_mse"),
    _reconstructions(2, "xray", 2000),
    Item(
        "table1",
        "Table 1: percent decrease of MSE by learned regularization, x-ray",
        "learned_regularization",
        published="table1_learned_regularization",
    ),
    _curve("fig3a", "3a", "retino", published="retino_demo_mse"),
    _curve("fig3b", "3b", "xray_fourier"),
    _curve("fig4a", "4a", "mnist", methods=("csdip", "csgm", "lasso_dct"), published="fig4a_mnist_mse"),
    _curve("fig4b", "4b", "xray", counts=(2000,), axis="noise_variance"),
    Item(
        "table2",
        "Table 2: seconds per image, x-ray",
        "runtime",
        "xray",
        counts=(1000, 2000, 4000, 8000),
        published="table2_runtime_seconds",
    ),
    *(_reconstructions(number, "xray", m) for number, m in ((5, 500), (6, 8000))),
    *(_reconstructions(number, "mnist", m) for number, m in ((7, 50), (8, 75), (9, 100), (10, 200))),
    *(_reconstructions(number, "retino", m) for number, m in ((11, 500), (12, 8000))),
    Item("fig13", "Figure 13: radial lines in the Fourier domain", "mask", published="radial_line_counts"),
    _reconstructions(14, "xray_fourier", 10),
)

ITEMS = {item.name: item for item in _ALL}
"""Name -> item, in the paper's order."""


def item_of(name: str) -> Item:
    """The item of this name; raises InputError where there is none."""
    if name not in ITEMS:
        raise InputError(f"unknown item {name!r}: choose from {', '.join(ITEMS)}")
    return ITEMS[name]
