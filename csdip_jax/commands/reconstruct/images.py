"""Images that are at hand: measured here, reconstructed by every method, compared with the original.

It is a sweep (`csdip sweep`) over the images; this adds the table by image and the pictures.
"""

import re
from collections.abc import Collection
from functools import partial
from pathlib import Path

from tqdm import tqdm

from csdip_jax.commands import pictures, row_tables, settings
from csdip_jax.commands.reconstruct import large_images
from csdip_jax.commands.sweep.computing import default_path, open_workdir, require_same_settings
from csdip_jax.data.sources import KNOWN_SOURCES
from csdip_jax.methods import METHODS
from csdip_jax.runs import saved
from csdip_jax.runs.plan import programs
from csdip_jax.runs.row import Row, stem
from csdip_jax.runs.run import compute
from csdip_jax.runs.workdir import Workdir

NEXT = """
  csdip reconstruct --images=photo.jpg --max_side=64 --methods=csdip,tv
  csdip reconstruct --measurements=y.npy --matrix=A.npy --image_shape=64,64,1"""
UNABLE, NOT_ASKED = "needs a linear\noperator", "not asked for"


def run(config, workdir, data_dir, sweep_flags, files, image_shape, pixel_range, any_size=False) -> None:
    """Reconstructs simulated measurements of images, from files or as configured; of `any_size` if the user says so."""
    if files is None and all(part.data is None for part in settings.parts(config).values()):
        print("note: no --images, --measurements or --config.data given: the first photograph of the demo")
        with config.unlocked():
            config.data, config.num_images = "demo", 1 if config.num_images is None else config.num_images
    with config.unlocked():
        config.image_shape = image_shape or config.image_shape
        config.grids = (*config.get("grids", ()), *sweep_flags)
    found = programs(settings.studies(config, data_dir, files, pixel_range))
    is_named = not files and str(config.data).partition(":")[0] in KNOWN_SOURCES
    name = config.data if is_named else called(files or config.data)
    inputs = {"images": files, "pixel_range": pixel_range}
    folder = workdir or default_path(config, name, **inputs)
    require_same_settings(config, Path(folder), **inputs)
    sizes = [part.image_shape or part.max_side for part in settings.parts(config).values()]
    large_images.tell(found, Path(folder), any_size or all(sizes))
    workdir = open_workdir(config, folder, name, **inputs)
    scenes = by_scene(compute(found, workdir, show=partial(_show, workdir)))
    rows = [row for scene in scenes for row in scene]
    _draw(workdir, scenes)
    row_tables.print_images(rows)
    if len({row.method for row in rows}) > 1:
        _tell_best(scenes)
    print(f"pictures: {workdir.path / 'comparison.png'}, {workdir.path / 'loss.png'}")
    if config.data == "demo":
        print(f"next, your own:{NEXT}")


def called(files: str) -> str:
    """What to call the results of a file, a folder or a glob: the same however many files there are."""
    plain = [re.sub(r"[^\w.]+", "-", Path(part).stem).strip("-._") for part in reversed(Path(files).parts)]
    return next(filter(None, plain), "images")[:40]


def by_scene(rows: Collection[Row]) -> list[list[Row]]:
    """The rows of each measured image, image by image."""
    images = list(dict.fromkeys((row.part, row.image) for row in rows))
    scenes = {}
    for row in sorted(rows, key=lambda row: images.index((row.part, row.image))):
        where = (row.operator, row.count, row.noise_variance, row.seed)
        scenes.setdefault((row.part, row.image, *where), []).append(row)
    return list(scenes.values())


def _show(workdir: Workdir, rows: Collection[Row]) -> None:
    """The picture of what is done so far, and where it is; one that is full already stays."""
    scenes = by_scene(rows)
    if len(scenes) <= pictures.IMAGES_PER_PICTURE:
        path = workdir.path / "comparison.png"
        pictures.save_comparison(path, [scene for scene, _ in _read(workdir, scenes)])
        tqdm.write(f"picture: {path}, the first {len(scenes)} done; more will join")


def _draw(workdir: Workdir, scenes: Collection[list[Row]]) -> None:
    """comparison.png and loss.png, from the saved reconstructions."""
    found = _read(workdir, scenes)
    if len(found) > pictures.IMAGES_PER_PICTURE:
        print(f"note: the picture shows the first {pictures.IMAGES_PER_PICTURE} of {len(found)}")
    pictures.save_comparison(workdir.path / "comparison.png", [scene for scene, _ in found])
    pictures.save_losses(workdir.path / "loss.png", [curve for _, curves in found for curve in curves])


def _read(workdir: Workdir, scenes: Collection[list[Row]]) -> list[tuple[pictures.Comparison, list]]:
    """Of each scene what is drawn, and its (label, loss) curves."""
    found, every = [], [row for rows in scenes for row in rows]
    seed = row_tables.several_seeds(every)
    for rows in scenes:
        first, arrays = rows[0], {}
        for row in rows:
            path = saved.reconstruction(workdir.path, row.file)
            arrays[row.label] = saved.load(path, None, "trace", "adjoint")
        comparison = pictures.Comparison(
            label=f"{stem(first.part, first.image)}\n{row_tables.measured(first, seed)}",
            original=saved.load(saved.original(workdir.path, first.part, first.image))["image"],
            adjoint=saved.known(arrays[first.label]["adjoint"]),
            reconstructions={label: found["image"] for label, found in arrays.items()},
            captions={row.label: UNABLE if _needs_linear_operator(row) else NOT_ASKED for row in every}
            | {row.label: row_tables.caption(row) for row in rows},
            maps={label: saved.maps(found) for label, found in arrays.items()},
            best=best.label if (best := row_tables.best(rows)) and len(every) > len(scenes) else None,
        )
        where = [comparison.label.replace("\n", ", ")] if len(scenes) > 1 else []
        curves = [(", ".join([label, *where]), found["trace"]) for label, found in arrays.items()]
        found.append((comparison, curves))
    return found


def _needs_linear_operator(row: Row) -> bool:
    """Whether that is why a scene has no such row; else its part of a configuration asks for other methods."""
    return METHODS[row.method].method.needs_linear_operator


def _tell_best(scenes: Collection[list[Row]]) -> None:
    """A line per scene, its methods from the best on, by the original; and what each method needs."""
    every = [row for rows in scenes for row in rows]
    seed = row_tables.several_seeds(every)
    for rows in scenes:
        where = f"{stem(rows[0].part, rows[0].image)}, {row_tables.measured(rows[0], seed)}"
        able = {row.method for row in rows}
        unable = dict.fromkeys(row.method for row in every if row.method not in able and _needs_linear_operator(row))
        print(f"{where}: {row_tables.ranked(rows)}" + (f" ({', '.join(unable)} cannot)" if unable else ""))
    print("what each method needs:")
    for name in dict.fromkeys(row.method for row in every):
        print(f"  {name}: {METHODS[name].requirements}")
