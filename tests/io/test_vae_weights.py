"""The file of a trained VAE: there and back, found in its places, bad ones refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import csdip_jax as cs
from csdip_jax.generators import VAE, decoder_sizes
from csdip_jax.io import vae_weights

SHAPE = (12, 10, 1)


@pytest.fixture
def weights(tmp_path):
    params = VAE((4, 4, 1), (5,), 2).init(jax.random.key(0), jnp.zeros((4, 4, 1)), jnp.zeros(2))
    vae_weights.save(tmp_path / "vae_mnist.msgpack", params, {"epoch": 3})
    return params


def test_weights_there_and_back(weights, tmp_path):
    params, provenance = vae_weights.load(tmp_path / "vae_mnist.msgpack")
    assert provenance == {"epoch": 3}
    jax.tree.map(np.testing.assert_array_equal, params, weights)


def test_places_in_their_order(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data_dir, own = tmp_path / "data", tmp_path / "own.msgpack"
    with pytest.raises(cs.InputError, match=r"there is no .*data/vae_mnist.msgpack nor runs/.*train one") as caught:
        vae_weights.find(data_dir)
    assert caught.value.needs == "vae"
    places = [tmp_path / "runs" / "vae_mnist" / "vae_mnist.msgpack", data_dir / "vae_mnist.msgpack", own]
    for place in places:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()
        assert vae_weights.find(data_dir, own if own.exists() else None).samefile(place)
    assert vae_weights.find().samefile(places[0])
    with pytest.raises(cs.InputError, match="there is no nowhere.msgpack"):
        vae_weights.find(data_dir, "nowhere.msgpack")


def test_weights_that_do_not_fit(weights, tmp_path):
    with pytest.raises(cs.InputError, match="vae_mnist.msgpack: the decoder makes 16 pixels"):
        vae_weights.load_decoder(SHAPE, tmp_path)
    assert decoder_sizes(vae_weights.load_decoder((2, 8, 1), tmp_path).weights) == (2, 5, 16)


def test_damaged_weights(weights, tmp_path):
    path = tmp_path / "vae_mnist.msgpack"
    whole = path.read_bytes()
    for content in (b"", whole[:-9], b"no msgpack at all", b"\x81\xa1a\x01"):
        path.write_bytes(content)
        with pytest.raises(cs.InputError, match="holds no VAE's weights .*train anew"):
            vae_weights.load(path)
    vae_weights.save(path, jax.tree.map(lambda leaf: leaf * np.nan, weights), {})
    with pytest.raises(cs.InputError, match="weights are NaN or infinite"):
        vae_weights.load(path)
