"""THE row: what is said of a reconstruction, written by whatever made it and read by whatever shows it."""

import dataclasses
import math
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self, get_type_hints

import numpy as np

from csdip_jax import metrics
from csdip_jax.data.pixels import WIDE
from csdip_jax.io.lines import FLAG, NAME, NUMBER, NUMBER_OR_NULL, NUMBERS, TEXT, WHOLE, Kind, require_fields
from csdip_jax.methods import METHODS
from csdip_jax.methods.base import Method
from csdip_jax.operators import OPERATORS
from csdip_jax.types import Array, InputError, Solution, Status
from csdip_jax.verdict import (
    ABOVE_THE_NOISE,
    EXPLAINED,
    IN_GENERAL,
    Remedies,
    advice,
    diverged,
    falling,
    in_short,
    in_words,
)

VERSION = 2
"""Of the rows that are written. Version 1, which says none, had no status, and other fields in every kind of run."""


WHOLE_OR_NULL = Kind("a whole number or null", lambda value: value is None or WHOLE.holds(value))
TEXT_OR_NULL = Kind("text or null", lambda value: value is None or TEXT.holds(value))
STATUS = Kind(f"one of {', '.join(Status.__members__)}", lambda value: value in list(Status.__members__))
FACTS = Kind(
    "an object of texts and numbers",
    lambda value: isinstance(value, dict) and all(TEXT.holds(x) or NUMBER_OR_NULL.holds(x) for x in value.values()),
)
KINDS = {
    str: TEXT,
    str | None: TEXT_OR_NULL,
    int: WHOLE,
    int | None: WHOLE_OR_NULL,
    float: NUMBER,
    float | None: NUMBER_OR_NULL,
    bool: FLAG,
    dict[str, float]: NUMBERS,
    dict[str, float | str]: FACTS,
    Status: STATUS,
}
"""Type of a field -> what a line of JSON may have for it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """A reconstruction: what was measured, by which method it was made, how that ended, and how good it is.

    Numbers that are not finite are None once they have been on a disk, an infinite PSNR excepted.

    Attributes:
        file: stem of its files.
        part, image, seed: of the measured scene; the image is "" where the measurements are a user's own.
        image_digest: of the true image.
        operator, count: kind of the operator, and its number of measurements or lines.
        measurement: the same for people.
        num_measurements: m; None for a user's own measurements.
        noise_variance: s, of the whole noise vector; None for a user's own measurements.
        preset, method, label, swept: of the fit; label is the method with its swept settings, field -> value.
        seconds: its share of the time; None where an earlier process did part of the work.
        compiled: whether these contain compiling its program.
        status: how the fit ended.
        steps, restart, redraws: see `Solution`.
        measurement_loss: ||y - A x||^2, and relative to ||y||^2 as `relative_residual`.
        unexplained, falling, times_noise: see `csdip_jax.verdict`.
        mse, psnr, ssim: None where there is no true image, or it is too small or constant.
        data_range: what psnr and ssim are relative to.
        trained_digest: of what was trained for the method.
        device: that it was computed on.
        aux: what else the solution says in one number, by name.
        more: the value of the setting that regularizes, by its name, and what a study adds of its own.
    """

    file: Annotated[str, NAME]
    label: str
    method: str
    preset: str
    seed: int
    status: Status
    steps: int
    redraws: int
    seconds: float | None
    part: str = ""
    image: str = ""
    image_digest: str = ""
    operator: str = ""
    count: int | None = None
    measurement: str = ""
    num_measurements: int | None = None
    noise_variance: float | None = None
    swept: dict[str, float] = dataclasses.field(default_factory=dict)
    restart: int = 0
    measurement_loss: float | None = None
    relative_residual: float | None = None
    unexplained: float | None = None
    falling: float | None = None
    times_noise: float | None = None
    mse: float | None = None
    psnr: float | None = None
    ssim: float | None = None
    data_range: float = 2.0
    trained_digest: str | None = None
    device: str = ""
    compiled: bool = False
    aux: dict[str, float] = dataclasses.field(default_factory=dict)
    more: dict[str, float | str] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        if self.mse == 0 and self.psnr is None:  # infinite, which JSON has no number for
            object.__setattr__(self, "psnr", math.inf)

    @property
    def ok(self) -> bool:
        """Whether the fit neither diverged nor collapsed."""
        return self.status < Status.DIVERGED

    @property
    def converged(self) -> bool:
        """Whether the fit came to its end before its limit of steps, if it has one, and explains the measurements."""
        return self.status <= Status.FINISHED or (self.status == Status.UNEXPLAINED and self.explained)

    @property
    def explained(self) -> bool:
        """Whether its image explains enough: the noise decides where it is known, else the share that is explained."""
        return self.ok and (self.status != Status.UNEXPLAINED or self._at_the_noise)

    @property
    def diverged(self) -> bool:
        """Whether its loss grew, also where it stayed finite."""
        unexplained, falling_by, _ = self._numbers
        grew = unexplained is not None and diverged(unexplained, falling_by)
        return self.status == Status.DIVERGED or (grew and not self._at_the_noise)

    @property
    def _at_the_noise(self) -> bool:
        times_noise = self._numbers[2]
        return times_noise is not None and times_noise <= ABOVE_THE_NOISE

    @property
    def verdict(self) -> str:
        """What it proves, in words; nothing of rows that were written before it was known."""
        return self.in_words()

    def in_words(self, remedies: Remedies = IN_GENERAL) -> str:
        """The verdict, with how to do what it advises."""
        unexplained, falling_by, times_noise = self._numbers
        return "" if unexplained is None else in_words(self.ok, unexplained, falling_by, times_noise, remedies)

    def advice(self, remedies: Remedies = IN_GENERAL) -> str:
        """What of the verdict is to be done; nothing where all is well, or failed, or not known."""
        unexplained, falling_by, times_noise = self._numbers
        return "" if unexplained is None or not self.ok else advice(unexplained, falling_by, times_noise, remedies)

    @property
    def in_short(self) -> str:
        """The verdict for a table."""
        unexplained, _, times_noise = self._numbers
        return "" if unexplained is None or not self.ok else in_short(unexplained, times_noise)

    @property
    def _numbers(self) -> tuple[float | None, float | None, float | None]:
        """Those of `csdip_jax.verdict`; None for what is not known, or is not finite."""
        unexplained, falling_by, times_noise = (
            value if value is not None and math.isfinite(value) else None
            for value in (self.unexplained, self.falling, self.times_noise)
        )
        return unexplained, falling_by, times_noise

    def as_json(self) -> dict[str, Any]:
        """What a line of results.jsonl says."""
        return {"version": VERSION, **vars(self), "status": self.status.name}

    @classmethod
    def read(cls, line: Any) -> Self:
        """The row that a line of results.jsonl says, of this version or an earlier one.

        Raises:
            ValueError: it is none; says what is wrong with it.
        """
        version = line.get("version", 1) if isinstance(line, dict) else VERSION
        if not WHOLE.holds(version) or not 1 <= version <= VERSION:
            raise ValueError(f"version = {version} is none of 1 to {VERSION}: it may be of a newer csdip_jax")
        line = _upgraded(line) if version == 1 else line
        require_fields(line, FIELDS, "reconstruction")
        values: dict[str, Any] = {name: line[name] for name in FIELDS}
        values["status"] = Status[values["status"]]
        return cls(**values)


FIELDS: Mapping[str, Kind] = types.MappingProxyType(
    {
        name: hint.__metadata__[0] if hasattr(hint, "__metadata__") else KINDS[hint]
        for name, hint in get_type_hints(Row, include_extras=True).items()
    }
)
"""What every line of results.jsonl has to have."""

ADDED = {"restart", "measurement_loss", "relative_residual", "unexplained", "falling", "times_noise", "ssim"}
ADDED |= {"data_range", "trained_digest", "operator", "count", "device", "compiled", "aux", "more"}
"""Fields that rows of version 1 may lack, whatever they are of."""


def _upgraded(line: dict) -> dict:
    """A line of version 1 with the fields of this one; what it should have and has not is left out."""
    require_fields(line, {"label": TEXT, "ok": FLAG, "converged": FLAG}, "reconstruction")
    known = {name: value for name, value in _defaults().items() if name in ADDED}
    if "stage" in line:  # of a study of learned regularization
        known = _defaults() | {"preset": "", "seed": 0, "swept": {"lr_weight": line.get("lr_weight")}}
        known["more"] = {name: line[name] for name in ("cell", "stage", "arm", "held_out_loss") if name in line}
    elif "image" not in line:  # of a user's own measurements
        known = _defaults() | {"preset": "", "seed": 0, "redraws": 0, "seconds": None}
        known["method"] = line["label"].partition(" ")[0]
    names = (str(line.get(name, "")) for name in ("part", "image", "label"))
    known["file"] = line.get("stem", stem(*names))
    if "data_range" not in line and NUMBER.holds(line.get("mse")) and line["mse"] > 0:
        known["psnr"] = 10 * math.log10(4 / line["mse"])
    status = Status.DIVERGED if line.get("measurement_loss") is None else Status.COLLAPSED
    if line["ok"]:
        doubtful = NUMBER.holds(line.get("unexplained")) and line["unexplained"] > EXPLAINED
        recipe = METHODS.get(known.get("method", line.get("method", "")))
        met = Status.CONVERGED if recipe is None or recipe.method.has_tolerance else Status.FINISHED
        status = met if line["converged"] else Status.UNEXPLAINED if doubtful else Status.OUT_OF_STEPS
    return known | line | {"status": status.name}


def _defaults() -> dict[str, Any]:
    """Of the fields that have one."""
    values = {field.name: field.default for field in dataclasses.fields(Row)}
    values |= {field.name: {} for field in dataclasses.fields(Row) if field.default_factory is dict}
    return {name: value for name, value in values.items() if value is not dataclasses.MISSING}


def code_of(method: str, operator: str = "") -> dict[str, Any]:
    """For `Row.more`: name -> the checksum of the file, of a method and an operator that a user wrote."""
    known = {f"method {method}": METHODS.get(method), f"operator {operator}": OPERATORS.get(operator)}
    return {f"code of {name}": one.code for name, one in known.items() if one is not None and one.code is not None}


def weight_of(method: Method, swept: Mapping[str, float]) -> dict[str, Any]:
    """For `Row.more`: the value of the setting that regularizes, by its name; nothing where the method has none."""
    if method.regularization is None:
        return {}
    name = method.regularization.field
    return {name: float(swept.get(name, getattr(method, name)))}


def require_same_code(row: "Row", folder: Path) -> None:
    """Raises InputError where a row was made by another version of a method or an operator that a user wrote."""
    for name, code in code_of(row.method, row.operator).items():
        if row.more.get(name) != code:
            changed = name.removeprefix("code of ")
            raise InputError(f"the file of {changed} has changed since {folder} was written: choose another `workdir`")


def stem(*names: str) -> str:
    """A file name of the parts that are not empty."""
    return "-".join(name.replace(" ", "-") for name in names if name)


def facts(solution: Solution, measurements, seconds: float | None, noise_energy: float | None = None) -> dict[str, Any]:
    """What a row says of a solution, as fields of `Row`.

    Args:
        solution: of one problem, as numpy arrays.
        measurements: y.
        seconds: that it took; None where that is not known.
        noise_energy: E ||eta||^2, None or 0 where there is none.
    """
    energy, loss = float(np.sum(np.abs(np.asarray(measurements)) ** 2)), float(solution.measurement_loss)
    return {
        "seconds": seconds,
        "measurement_loss": loss,
        "relative_residual": loss / energy if energy else 0.0 if loss == 0 else None,
        "unexplained": float(solution.unexplained),
        "falling": falling(solution.trace["measurement_loss"]),
        "times_noise": times_noise(loss, noise_energy),
        "steps": int(solution.steps),
        "restart": int(solution.restart),
        "redraws": int(solution.redraws),
        "status": Status(int(solution.status)),
        "aux": _numbers_of(solution.aux),
    }


def flat(aux: Mapping[str, Any]) -> dict[str, Any]:
    """What a solution says besides its image, each part of what has parts by itself: the weights of candidates, say."""
    parts = {
        f"{name}_{part}": value
        for name, values in aux.items()
        if isinstance(values, Mapping)
        for part, value in values.items()
    }
    return {name: values for name, values in aux.items() if not isinstance(values, Mapping)} | parts


def _numbers_of(aux: Mapping[str, Any]) -> dict[str, float]:
    """What a solution says in one number, and the two ends of its intervals."""
    aux = flat(aux)
    ends = {
        f"{name.removesuffix('_interval')}_{end}": float(value)
        for name, values in aux.items()
        if name.endswith("_interval") and np.shape(values) == (2,)
        for end, value in zip(("low", "high"), values, strict=True)
    }
    return {name: float(value) for name, value in aux.items() if not np.ndim(value)} | ends


def times_noise(measurement_loss: float | None, noise_energy: float | None) -> float | None:
    """How many times what noise alone would leave; None where one of the two is not known, or there is no noise."""
    return measurement_loss / noise_energy if noise_energy and measurement_loss is not None else None


def errors(image: np.ndarray | Array, original: np.ndarray) -> dict[str, Any]:
    """Those of `csdip_jax.metrics` that an image of this size has, as fields of `Row`; both images in [-1, 1].

    The range that PSNR and SSIM are relative to is 2, or the original's own where that is less than `WIDE` of 2. A PSNR
    that is infinite, and both of a constant original, whose range is 0, are None.
    """
    own = float(np.max(original)) - float(np.min(original))
    data_range = own if own < 2.0 * WIDE else 2.0
    values: dict[str, Any] = {"mse": float(metrics.mse(image, original)), "data_range": data_range}
    names = ["psnr"] + ["ssim"] * (min(image.shape[:2]) >= metrics.SSIM_WINDOW)
    for name in names:
        value = float(getattr(metrics, name)(image, original, data_range)) if data_range else math.nan
        values[name] = value if math.isfinite(value) else None
    return values
