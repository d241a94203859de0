"""Trains the variational autoencoder whose decoder CSGM searches.

    python -m experiments.train_vae --data_dir=data
    python -m experiments.train_vae --data_dir=data --config.epochs=50 --workdir=runs/longer

The workdir, by default runs/vae_mnist where `experiments.reconstruct --config.methods=csgm` looks for it, gets
vae_mnist.msgpack (weights and provenance), results.jsonl (the ELBO of every epoch, in nats an image, on the training
images and on held-out ones), samples.png (digits drawn from the model) and config.json. Rerun with the same settings it
goes on after the last finished epoch and ends in the same bits; with more --config.epochs it trains on.
"""

from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from absl import flags
from flax import serialization
from ml_collections.config_dict import ConfigDict

import csdip_jax as cs
from csdip_jax.checks import require, require_number
from csdip_jax.commands import launcher
from csdip_jax.commands.tables import number
from csdip_jax.files import content_digest, write_atomically
from csdip_jax.generators import VAE, TrainedDecoder, decoder_of, decoder_sizes
from csdip_jax.io import vae_weights
from csdip_jax.io.lines import NUMBER_OR_NULL, WHOLE, read_rows, with_fields
from csdip_jax.runs.measurement import require_seed
from csdip_jax.runs.saved import write_picture
from csdip_jax.runs.workdir import Workdir, device_name, environment
from csdip_jax.solve.progress import progress_bar
from csdip_jax.types import Array, InputError
from experiments import configs

_CONFIG = launcher.define_config("vae_mnist", configs.FOLDER)
flags.adopt_module_key_flags(launcher)
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the weights; default: runs/<name of the settings>.")
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder of the data sets (see experiments.fetch_data).")

ROW = {"epoch": WHOLE, "elbo": NUMBER_OR_NULL, "held_out_elbo": NUMBER_OR_NULL}
FREE_SETTINGS = ("epochs",)  # a rerun may ask for more
SAMPLES = (8, 16)  # rows and columns of the sheet


class Training(NamedTuple):
    """Where the training stands after `epoch` epochs."""

    params: dict
    opt_state: optax.OptState
    epoch: Array


def main() -> None:
    config = launcher.config_of(_CONFIG)
    _require_settings(config)
    images, held_out = _load(config)
    settings = {"config": config.to_dict(), "digest": content_digest(images, held_out)}
    folder = Path(_WORKDIR.value or Path("runs") / config.name)
    finished = len(read_rows(folder / "results.jsonl", with_fields(ROW, "epoch")))
    if finished > config.epochs:
        raise InputError(f"config.epochs = {config.epochs}: {folder} holds {finished}; choose another --workdir")
    workdir = Workdir(folder, settings, free=FREE_SETTINGS, read=with_fields(ROW, "epoch"))
    print(f"workdir: {workdir.path}   device: {device_name()}")
    training = train(config, images, held_out, workdir)
    weights = workdir.path / f"{config.name}.msgpack"
    last = workdir.rows[-1]
    vae_weights.save(weights, training.params, {**last, "settings": settings, **environment()})
    write_picture(workdir.path / "samples.png", sample_sheet(training.params, images.shape[1:], config.seed))
    elbo, held_out_elbo = (number(last[name], ".2f") for name in ("elbo", "held_out_elbo"))
    print(f"ELBO {elbo}, held out {held_out_elbo} nats an image; weights: {weights}")


def _require_settings(config: ConfigDict) -> None:
    require_seed(config.seed)
    for name in ("epochs", "batch_size", "latent_dim", "num_held_out"):
        require(config[name] >= 1, f"config.{name}", config[name], "at least 1")
    require(all(units >= 1 for units in config.hidden), "config.hidden", config.hidden, "numbers of at least 1")
    require_number("config.learning_rate", config.learning_rate, strictly=True)


def _load(config: ConfigDict) -> tuple[np.ndarray, np.ndarray]:
    """The images to train on and those held out, the last of their source."""
    load = partial(cs.data.load, data_dir=_DATA_DIR.value, image_shape=config.image_shape)
    images, held_out = load(config.data, num_images=config.num_images), load(config.held_out)[-config.num_held_out :]
    if images.shape[1:] != held_out.shape[1:]:
        raise InputError(
            f"training images are {images.shape[1:]}, those held out {held_out.shape[1:]}: give --config.image_shape"
        )
    if len(images) < config.batch_size:
        raise InputError(f"config.batch_size = {config.batch_size}: there are {len(images)} training images")
    return images, held_out


def train(config: ConfigDict, images: np.ndarray, held_out: np.ndarray, workdir: Workdir) -> Training:
    """All epochs, or those that an interrupted run left over; one row of results.jsonl each."""
    vae = VAE(tuple(images.shape[1:]), tuple(config.hidden), config.latent_dim)
    optimizer = optax.adam(config.learning_rate)
    key_start, key_epochs, key_held_out = jax.random.split(jax.random.key(config.seed), 3)
    checkpoint = workdir.path / "checkpoint.msgpack"
    training = _resume(checkpoint, start(vae, optimizer, key_start))
    images, held_out = jnp.asarray(images), jnp.asarray(held_out)
    recorded = {row["epoch"] for row in workdir.rows}
    with progress_bar(total=config.epochs, initial=int(training.epoch), desc=config.name, unit="epoch") as bar:
        while training.epoch < config.epochs:
            training, elbo = run_epoch(vae, optimizer, config.batch_size, training, images, key_epochs)
            held_out_elbo = mean_elbo(vae, training.params, held_out, key_held_out)
            row = {"epoch": int(training.epoch), "elbo": float(elbo), "held_out_elbo": float(held_out_elbo)}
            if row["epoch"] not in recorded:  # a kill between row and checkpoint makes the epoch run twice
                workdir.append(row)
            _save(checkpoint, training)
            bar.set_postfix(loss=f"{-elbo:.2f}", held_out=f"{-held_out_elbo:.2f}", refresh=False)
            bar.update()
    return training


def start(vae: VAE, optimizer: optax.GradientTransformation, key: Array) -> Training:
    """The training at its start."""
    params = vae.init(key, jnp.zeros(vae.image_shape), jnp.zeros(vae.latent_dim))
    return Training(params, optimizer.init(params), jnp.zeros((), jnp.int32))


@partial(jax.jit, static_argnums=(0, 1, 2), donate_argnums=3)
def run_epoch(
    vae: VAE,
    optimizer: optax.GradientTransformation,
    batch_size: int,
    training: Training,
    images: Array,
    key: Array,
) -> tuple[Training, Array]:
    """One pass over the images in a new order, and the mean ELBO met on the way; whole batches only."""
    key_order, key_noise = jax.random.split(jax.random.fold_in(key, training.epoch))
    steps = len(images) // batch_size
    order = jax.random.permutation(key_order, len(images))[: steps * batch_size].reshape(steps, batch_size)

    def step(carry, batch):
        params, opt_state = carry
        number, rows = batch

        def loss(params):
            return -mean_elbo(vae, params, images[rows], jax.random.fold_in(key_noise, number))

        value, gradient = jax.value_and_grad(loss)(params)
        updates, opt_state = optimizer.update(gradient, opt_state)
        return (optax.apply_updates(params, updates), opt_state), -value

    carry, elbos = jax.lax.scan(step, (training.params, training.opt_state), (jnp.arange(steps), order))
    return Training(*carry, training.epoch + 1), elbos.mean()


@partial(jax.jit, static_argnums=0)
def mean_elbo(vae: VAE, params: dict, images: Array, key: Array) -> Array:
    """ELBO in nats an image, over images [b, h, w, c], one draw of the latent each."""
    noise = jax.random.normal(key, (len(images), vae.latent_dim))
    return jax.vmap(partial(vae.apply, params))(images, noise).elbo.mean()


def _save(path: Path, training: Training) -> None:
    content = serialization.to_bytes(jax.device_get(training))
    write_atomically(path, lambda file: file.write(content))


def _resume(path: Path, fresh: Training) -> Training:
    """The training as a checkpoint left it; the fresh one where there is none."""
    if not path.exists():
        return fresh
    try:
        return jax.tree.map(jnp.asarray, serialization.from_bytes(fresh, path.read_bytes()))
    except Exception as error:  # msgpack fails in many ways on bytes that are not its own
        raise InputError(
            f"{path} is damaged ({type(error).__name__}): remove it, or choose another --workdir"
        ) from error


def sample_sheet(params: dict, image_shape: tuple[int, int, int], seed: int) -> np.ndarray:
    """Images of latents drawn from N(0, I), side by side, [rows h, columns w, c]."""
    decoder, (rows, columns), (h, w, c) = decoder_of(params), SAMPLES, image_shape
    latents = jax.random.normal(jax.random.key(seed), (rows * columns, decoder_sizes(decoder)[0]))
    sheet = jax.vmap(lambda latent: TrainedDecoder(image_shape).apply(decoder, latent))(latents)
    return np.asarray(sheet).reshape(rows, columns, h, w, c).swapaxes(1, 2).reshape(rows * h, columns * w, c)


if __name__ == "__main__":
    launcher.run(main, interrupted="the same command goes on after the last finished epoch")
