"""Images that are at hand: measured here, reconstructed by every method, compared with the original.

It is a sweep (`csdip sweep`) over the images; this adds the table by image and the pictures.
"""

from collections.abc import Collection
from pathlib import Path

from csdip_jax.commands import pictures, row_tables, settings
from csdip_jax.commands.reconstruct import large_images
from csdip_jax.commands.sweep.computing import default_path, open_workdir
from csdip_jax.runs import saved
from csdip_jax.runs.plan import programs
from csdip_jax.runs.row import Row, stem
from csdip_jax.runs.run import compute
from csdip_jax.runs.workdir import Workdir


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
    name, inputs = "images" if files else config.data, {"images": files, "pixel_range": pixel_range}
    folder = workdir or default_path(config, name, **inputs)
    sizes = [part.image_shape or part.max_side for part in settings.parts(config).values()]
    large_images.tell(found, Path(folder), any_size or all(sizes))
    workdir = open_workdir(config, folder, name, **inputs)
    scenes = by_scene(compute(found, workdir))
    row_tables.print_images([row for rows in scenes for row in rows])
    _draw(workdir, scenes)


def by_scene(rows: Collection[Row]) -> list[list[Row]]:
    """The rows of each measured image, image by image."""
    images = list(dict.fromkeys((row.part, row.image) for row in rows))
    scenes = {}
    for row in sorted(rows, key=lambda row: images.index((row.part, row.image))):
        where = (row.operator, row.count, row.noise_variance, row.seed)
        scenes.setdefault((row.part, row.image, *where), []).append(row)
    return list(scenes.values())


def _draw(workdir: Workdir, scenes: Collection[list[Row]]) -> None:
    """comparison.png and loss.png, from the saved reconstructions."""
    comparisons, curves = [], []
    seed = row_tables.several_seeds([row for rows in scenes for row in rows])
    for rows in scenes:
        first, arrays = rows[0], {}
        for row in rows:
            path = saved.reconstruction(workdir.path, row.file)
            arrays[row.label] = saved.load(path, None, "trace", "adjoint")
        comparisons.append(
            pictures.Comparison(
                label=f"{stem(first.part, first.image)}\n{row_tables.measured(first, seed)}",
                original=saved.load(saved.original(workdir.path, first.part, first.image))["image"],
                adjoint=saved.known(arrays[first.label]["adjoint"]),
                reconstructions={label: found["image"] for label, found in arrays.items()},
                captions={row.label: row_tables.caption(row) for row in rows},
                maps={label: saved.maps(found) for label, found in arrays.items()},
            )
        )
        where = [comparisons[-1].label.replace("\n", ", ")] if len(scenes) > 1 else []
        curves += [(", ".join([label, *where]), found["trace"]) for label, found in arrays.items()]
    if len(comparisons) > pictures.IMAGES_PER_PICTURE:
        print(f"note: the picture shows the first {pictures.IMAGES_PER_PICTURE} of {len(comparisons)}")
    pictures.save_comparison(workdir.path / "comparison.png", comparisons)
    pictures.save_losses(workdir.path / "loss.png", curves)
    print(f"pictures: {workdir.path / 'comparison.png'}, {workdir.path / 'loss.png'}")
