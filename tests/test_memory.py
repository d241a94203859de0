"""Memory of `reconstruct`: what fits take, how many of them run together, and what is refused."""

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

import csdip_jax as cs
from csdip_jax.generators import DCGAN
from csdip_jax.methods import CsDip, Tv
from csdip_jax.solve import driver, memory
from csdip_jax.solve.fits import Case, advance, fit_keys, start
from csdip_jax.solve.inputs import checked_batch

SHAPE = (8, 8, 1)
METHOD = CsDip(SHAPE, steps=2, generator=DCGAN(SHAPE, latent_dim=4))
KEY = jax.random.key(0)
SIX = dataclasses.replace(Tv(SHAPE), steps=2, mu=jnp.arange(1.0, 7.0))  # that a CPU advances together


def problem(m=20):
    operator = cs.operators.gaussian(jax.random.key(1), m, SHAPE)
    return cs.Problem(operator, operator.forward(jnp.linspace(-1, 1, 64).reshape(SHAPE)))


def test_fits_in_memory():
    assert memory.fits_in(free_bytes=1000, bytes_per_fit=100) == 8
    assert memory.fits_in(free_bytes=10, bytes_per_fit=100) == 1


class Accelerator:
    """A device that reports 50 MB, half of them taken."""

    platform = "gpu"

    def memory_stats(self):
        return {"bytes_limit": 50 * 10**6, "bytes_in_use": 25 * 10**6}


def test_an_accelerator_gets_as_many_fits_as_its_memory_holds(monkeypatch):
    method = dataclasses.replace(METHOD, restarts=3)
    operator, y = problem()
    batch, batched = checked_batch(cs.Problem(operator, jnp.stack([y, y])), method)
    cases, keys = Case(batch, {}), fit_keys(KEY, jnp.arange(2), jnp.arange(3))
    assert batched and memory.default_fits_at_once(method, cases, keys, {}, 1) == 1
    monkeypatch.setattr(jax, "local_devices", lambda: [Accelerator()])
    count = memory.default_fits_at_once(method, cases, keys, {}, 1)
    weights = sum(leaf.nbytes for leaf in jax.tree.leaves(method.init(problem(), KEY)))
    assert 1 < count < 25 * 10**6 / weights


@pytest.mark.parametrize("own_operators", [False, True])
@pytest.mark.parametrize(("images", "devices"), [(100, 1), (100, 4), (3, 2)])
def test_a_fit_on_an_accelerator_takes_its_share_of_its_operator(images, devices, own_operators, monkeypatch):
    """By hand: 0.8 of what is free, for fits that grow by 5 kB; an operator of 5120 bytes serves 2 x 3 of them."""
    method, one = dataclasses.replace(METHOD, restarts=2), problem()
    cases = images * 3
    operator = cs.operators.stack([one.operator] * images) if own_operators else one.operator
    given = Case(cs.Problem(operator, jnp.stack([one.measurements] * cases)), {})
    keys = fit_keys(KEY, jnp.arange(cases), jnp.arange(2))
    monkeypatch.setattr(memory, "compiled_chunk", lambda *_: memory.Chunk(fixed=1000, bytes=6000, compile_seconds=0))
    monkeypatch.setattr(memory, "_accelerator_bytes", lambda *_: 10**6)
    monkeypatch.setattr(jax, "local_device_count", lambda: devices)
    fitting = 800_000 // (5000 + (5120 // 6 if own_operators else 0))
    assert memory.default_fits_at_once(method, given, keys, {}, 3) == min(fitting, -(-cases * 2 // devices))


@pytest.mark.parametrize("devices", [1, 3, 8])
def test_the_devices_of_a_cpu_share_its_memory(devices, on_cpu, monkeypatch):
    monkeypatch.setattr(memory, "host_bytes", lambda: 10**9)
    monkeypatch.setattr(jax, "local_device_count", lambda: devices)
    assert memory.usable_bytes() == 8 * 10**8 // devices


@pytest.mark.parametrize(("restarts", "at_once"), [(1, 1), (2, 2), (3, 3), (4, 4), (5, 1), (6, 3), (8, 4)])
def test_on_a_cpu_fits_that_fill_the_cache_share_a_large_matrix(restarts, at_once, on_cpu, monkeypatch):
    """As many together as come out even, so that none is computed twice."""
    method = dataclasses.replace(METHOD, restarts=restarts)
    matrix = problem().operator.matrix.nbytes
    for large, expected in ((matrix, 1), (matrix - 1, at_once)):
        monkeypatch.setattr(memory, "LARGE", large)
        blocks = driver.prepare(method, problem(), KEY).blocks
        assert blocks[0].columns.size == expected
        assert sum(block.columns.size for block in blocks) == restarts


def test_on_a_cpu_a_matrix_in_float16_is_not_worth_sharing(on_cpu, monkeypatch):
    monkeypatch.setattr(memory, "LARGE", 1000)
    whole = problem()
    narrow = cs.Problem(whole.operator.astype("float16"), whole.measurements)
    method = dataclasses.replace(METHOD, restarts=4)
    assert [driver.prepare(method, one, KEY).blocks[0].columns.size for one in (whole, narrow)] == [4, 1]


def prepare(monkeypatch, usable, **options):
    monkeypatch.setattr(memory, "usable_bytes", lambda: usable)
    return driver.prepare(SIX, problem(), KEY, **options)


def test_what_fits_take(monkeypatch):
    """Operators once, and the rest as often as there are fits."""
    one, three, six = (prepare(monkeypatch, 10**9, fits_at_once=count).chunk for count in (1, 3, 6))
    assert one.fixed == three.fixed == six.fixed == problem().operator.matrix.nbytes
    fits = [chunk.bytes - chunk.fixed for chunk in (one, three, six)]
    assert fits[0] > 0 and fits[2] == pytest.approx(2 * fits[1], rel=0.2)


def bytes_of(tree):
    return sum(leaf.nbytes for leaf in jax.tree.leaves(tree))


@pytest.mark.parametrize(("method", "images", "largest"), [(METHOD, 3, "redrawing"), (SIX, 1, "running")])
def test_bytes_are_those_of_the_arrays_and_of_the_programs(method, images, largest):
    """What is there at once: operators, y and fits beside a step's temporaries, or the fits before and after a redraw.

    By the arrays themselves, and by what the compiler says of each program when it is asked anew.
    """
    given = problem() if images == 1 else jax.tree.map(lambda x: jnp.stack([x] * images), problem())
    job = driver.prepare(method, given, KEY, fits_at_once=6)
    (block,) = job.blocks
    arguments = job.arguments(block)
    fits = driver.begin(*arguments, {}, None, block)
    starting = start.lower(*arguments, {}, layout=block.layout).compile().memory_analysis()
    running = advance.lower(*arguments, fits, 1, 0, {}, layout=block.layout).compile().memory_analysis()
    operators, measured = map(bytes_of, job.cases.problem)
    needed = {
        "redrawing": operators + 2 * bytes_of(fits) + starting.temp_size_in_bytes,
        "running": operators + measured + bytes_of(fits) + running.temp_size_in_bytes,
    }
    assert max(needed, key=needed.get) == largest
    assert job.chunk.bytes == pytest.approx(needed[largest], rel=0.02)


def test_a_default_that_does_not_fit_is_cut_smaller(monkeypatch):
    whole = prepare(monkeypatch, 10**9)
    assert [block.columns.size for block in whole.blocks] == [6]
    parts = prepare(monkeypatch, whole.chunk.bytes - 1)
    assert len(parts.blocks) > 1 and parts.chunk.bytes < whole.chunk.bytes
    expected = cs.reconstruct(SIX, problem(), KEY, fits_at_once=parts.blocks[0].columns.size)
    assert jnp.array_equal(cs.reconstruct(SIX, problem(), KEY).image, expected.image)


def test_what_does_not_fit_is_refused(monkeypatch):
    bytes_ = prepare(monkeypatch, 10**9).chunk.bytes
    with pytest.raises(cs.InputError, match=r"fits_at_once = 6: they need .* MB .* choose fits_at_once=[345]$"):
        prepare(monkeypatch, bytes_ - 1, fits_at_once=6)
    with pytest.raises(cs.InputError, match="a single fit needs .* choose a smaller image"):
        prepare(monkeypatch, problem().operator.matrix.nbytes)


def test_operators_of_their_own_grow_with_the_fits(monkeypatch):
    """Eight of them: all stay on the device, and a block that is not whole has copies of its own."""
    batch = jax.tree.map(lambda x: jnp.stack([x] * 8), problem())
    matrices, one = batch.operator.matrix.nbytes, problem().operator.matrix.nbytes

    def chunk(usable, fits_at_once):
        monkeypatch.setattr(memory, "usable_bytes", lambda: usable)
        job = driver.prepare(dataclasses.replace(SIX, mu=1.0), batch, KEY, fits_at_once=fits_at_once)
        return job.chunk

    whole, single = chunk(10**9, 8), chunk(10**9, 1)
    assert whole.fixed == 0 and whole.bytes > matrices
    assert single.fixed == matrices + one < single.bytes
    with pytest.raises(cs.InputError, match=r"fits_at_once = 8: they need .*; choose fits_at_once=[4567]$"):
        chunk(whole.bytes - 1, 8)
    with pytest.raises(cs.InputError, match="a single fit needs"):
        chunk(one, 8)


def test_the_program_asked_is_the_one_that_runs(caplog):
    with jax.log_compiles():
        cs.reconstruct(SIX, problem(m=13), KEY)
    assert sum(record.message.startswith("Compiling jit(advance)") for record in caplog.records) == 1


def test_the_bar_says_it_before_the_first_step(capsys):
    cs.reconstruct(METHOD, problem(), KEY, progress="fit")
    assert "memory=" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "file"),
    [("0::/job/step", "memory.max"), ("4:memory:/job/step", "memory/memory.limit_in_bytes")],
)
def test_a_cluster_may_give_less_than_the_machine_has(line, file, tmp_path, monkeypatch):
    machine = memory.host_bytes()
    lines = memory._lines
    monkeypatch.setattr(memory, "CGROUPS", tmp_path)
    monkeypatch.setattr(memory, "_lines", lambda path: [line] if path == Path("/proc/self/cgroup") else lines(path))
    assert memory.host_bytes() >= machine  # no limit is said
    limit = (tmp_path / file).parent / "job" / Path(file).name
    limit.parent.mkdir(parents=True)
    limit.write_text("max\n")
    assert memory.host_bytes() >= machine
    limit.write_text("1000000\n")
    assert memory.host_bytes() == 10**6


@pytest.mark.parametrize("method", [METHOD, SIX])
def test_room_is_looked_at_before_anything_is_drawn(method, monkeypatch):
    """And comes out as that of a fit whose operator is there."""
    operator = problem().operator
    single = dataclasses.replace(method, mu=1.0) if method is SIX else method
    needed = driver.prepare(single, problem(), KEY).chunk.bytes

    def draw(key):
        assert isinstance(key, jax.core.Tracer)
        return cs.operators.gaussian(key, operator.num_measurements, SHAPE)

    monkeypatch.setattr(memory, "usable_bytes", lambda: needed)
    memory.require_room(method, draw)
    monkeypatch.setattr(memory, "usable_bytes", lambda: needed - 1)
    with pytest.raises(cs.InputError, match="a single fit needs .* choose a smaller image"):
        memory.require_room(method, draw)
