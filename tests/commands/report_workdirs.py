"""Workdirs as the experiments write them, made up for the tests of the report."""

import numpy as np

from csdip_jax.commands.configs import sweep
from csdip_jax.files import write_arrays, write_json
from csdip_jax.io.lines import append_row
from csdip_jax.runs.row import Row, Status
from csdip_jax.runs.saved import write_picture


def row(ok=True, converged=True, **fields):
    """A line of results.jsonl as experiments.sweep writes it, with these fields other than usual."""
    usual = Row(
        file="",
        image="digit",
        image_digest="0123",
        operator="gaussian",
        count=100,
        measurement="Gaussian",
        num_measurements=100,
        noise_variance=0.0,
        preset="paper",
        seed=0,
        method="tv",
        label="tv",
        seconds=1.5,
        measurement_loss=0.1,
        relative_residual=0.01,
        steps=20,
        redraws=0,
        status=Status.COLLAPSED if not ok else Status.CONVERGED if converged else Status.OUT_OF_STEPS,
        mse=0.01,
        psnr=26.0,
        ssim=0.9,
    )
    made = usual.as_json() | fields
    name = f"{made['image']}-m{made['count']}-noise{made['noise_variance']:g}-seed{made['seed']}-{made['label']}"
    return made | {"file": fields.get("file", name)}


def own_row(**fields):
    """The same of a user's own measurements, which have no true image."""
    unknown = dict.fromkeys(["mse", "psnr", "ssim", "num_measurements", "count"])
    made = row(
        **{"image": "", "operator": "", "measurement": "", **unknown, "unexplained": 1e-4, "falling": 0.0} | fields
    )
    return made | {"noise_variance": None, "file": made["label"].replace(" ", "-")}


def settings(**fields):
    """Contents of a config.json of a sweep."""
    config = sweep.get_config()
    config.update(fields)
    return {
        "settings": {"config": config.to_dict(), "flags": {}},
        "versions": {"python": "3.11.7", "jax": "0.10.2"},
        "device": "cpu: cpu, 1 device(s), 2 cores",
        "git_commit": "0123456789abcdef0123456789abcdef01234567",
        "git_dirty": True,
    }


def make_run(folder, rows, config=None, side=28):
    """The workdir of a sweep with these rows and their pictures of [side, side] pixels."""
    write_json(folder / "config.json", settings() if config is None else config)
    random = np.random.default_rng(0)
    for one in rows:
        append_row(folder / "results.jsonl", one)
        image = random.uniform(-1, 1, (side, side, 1)).astype(np.float32)
        path = folder / "reconstructions" / f"{one['file']}.png"
        write_picture(path, image)
        write_arrays(path.with_suffix(".npz"), image=image, trace=np.geomspace(10, 0.1, one["steps"]))
        write_picture(folder / "originals" / f"{one['image']}.png", image)
    return folder


def make_item(folder, name, **fields):
    """An item as experiments.paper writes it."""
    described = {
        "item": name,
        "title": f"Title of {name}",
        "scale": "quick",
        "sweep": None,
        "files": {"png": f"{name}.png", "csv": f"{name}.csv", "md": f"{name}.md"},
        "command": f"python -m experiments.paper --item={name} --scale=quick",
        "notes": ["Toy images."],
        "table": [["m", "MSE +- 95 %"], ["100", "0.0123 +- 0.004"]],
    } | fields
    write_json(folder / f"{name}.json", described)
    write_picture(folder / f"{name}.png", np.zeros((30, 40, 1)))
    (folder / f"{name}.csv").write_text("m,mse\n100,0.0123\n")
    text = f"# {described['title']}\n\nScale `quick`: `{described['command']}`\n\n"
    (folder / f"{name}.md").write_text(
        text + "| m | MSE +- 95 % |\n|---|---|\n| 100 | 0.0123 +- 0.004 |\n\n- Toy images.\n"
    )
