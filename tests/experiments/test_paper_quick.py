"""Every item at scale quick, the whole path, and the command as a user gives it."""

import csv
import json

import pytest

import csdip_jax as cs
from csdip_jax.commands.sweep import computing
from csdip_jax.io import vae_weights
from csdip_jax.io.lines import read_all_rows
from experiments.configs import paper
from experiments.configs.paper_items import ITEMS
from experiments.paper import rendering
from tests.commands import typed as commands


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    """All items, one after the other, in one folder."""
    folder = tmp_path_factory.mktemp("paper")
    for item in ITEMS.values():
        rendering.run(item, "quick", folder, None)
    return folder


@pytest.mark.parametrize("item", ITEMS.values(), ids=list(ITEMS))
def test_every_item_has_its_files(workdir, item):
    description = json.loads((workdir / "quick" / f"{item.name}.json").read_text())
    for file in description["files"].values():
        assert (workdir / "quick" / file).stat().st_size > 50
    if item.kind != "mask":
        assert (workdir / "quick" / description["sweep"] / "config.json").exists()
        shown = ""
        if item.kind == "reconstructions" or item.axis == "noise_variance":
            (count,) = paper.counts_of(item, "quick")
            shown = f", {count} radial Fourier lines" if item.sweep == "xray_fourier" else f", m = {count}"
        assert description["seconds"] > 0 and description["title"] == f"{item.title}{shown} (toy images instead)"
        assert any("Toy images" in note for note in description["notes"])


@pytest.mark.parametrize("item", [item for item in ITEMS.values() if item.kind == "curve"], ids=lambda item: item.name)
def test_curves_hold_every_method_and_place(workdir, item):
    with open(workdir / "quick" / f"{item.name}.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    methods = paper.installed_methods(item, "quick")
    places = len(item.noises) if item.axis == "noise_variance" else len(paper.counts_of(item, "quick"))
    assert len(rows) == len(methods) * places and {row["method"] for row in rows} == set(methods)
    assert all(row["images"] == "2" and float(row["mse"]) > 0 and row["published"] == "" for row in rows)


def test_items_of_one_data_set_share_their_cells(workdir):
    """What an item computes is exactly its configuration, and no cell is computed twice."""
    for name in ("mnist", "xray", "retino", "xray_fourier"):
        rows = read_all_rows(workdir / "quick" / name)
        assert len({row["file"] for row in rows}) == len(rows)
    rows = read_all_rows(workdir / "quick" / "mnist")
    methods = {*paper.installed_methods(ITEMS["fig1b"], "quick"), "csgm"}
    assert {row["method"] for row in rows} == methods and len(rows) == len(methods) * 2 * 2


def test_a_rerun_computes_nothing_and_writes_the_same(workdir, monkeypatch):
    item = ITEMS["fig4a"]
    files = [workdir / "quick" / f"{item.name}.{suffix}" for suffix in ("png", "pdf", "csv", "md", "json")]
    before = [file.read_bytes() for file in files]
    monkeypatch.setattr(cs, "reconstruct", None)
    rendering.run(item, "quick", workdir, None)
    assert [file.read_bytes() for file in files] == before


def test_another_decoder_is_refused_where_cells_have_used_one(workdir, tmp_path):
    config = paper.config_of(ITEMS["fig4a"], "quick")
    params, _ = vae_weights.load(workdir / "quick" / "toy_decoder" / f"{vae_weights.DEFAULT}.msgpack")
    params["params"]["decoder"]["pixels"]["bias"] += 1
    vae_weights.save(tmp_path / f"{vae_weights.DEFAULT}.msgpack", params, {})
    with pytest.raises(cs.InputError, match="csgm was trained otherwise when .*: choose another `workdir`"):
        computing.sweep(config, workdir / "quick" / "mnist", str(tmp_path))


def test_table_1_is_that_of_the_study(workdir):
    folder = workdir / "quick"
    assert (folder / "table1.csv").read_text() == (folder / "table1" / "table.csv").read_text()
    assert (folder / "table1" / "table.md").read_text().strip() in (folder / "table1.md").read_text()


def test_the_command(tmp_path):
    done = commands.run("paper", f"--workdir={tmp_path}", "--item=fig13", "--scale=paper")
    assert done.returncode == 0, done.stderr
    assert "| 10 | 1260 | 1260 |" in " ".join(done.stdout.split()) and (tmp_path / "paper" / "fig13.pdf").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--item=fig13,fig99"], "unknown item 'fig99': choose from fig1a"),
        (["--item=fig13", "--workdir=/dev/null/x"], "workdir /dev/null/x cannot be used"),
        (["--item=fig1a", "--scale=huge"], "quick|cpu|paper"),
        ([], "--item is missing: choose from fig1a"),
        (["--item=fig1b", "--scale=cpu"], "needs --data_dir"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(tmp_path, options, message):
    assert message in commands.refused(commands.run("paper", f"--workdir={tmp_path}", *options))


def test_a_bad_selection_is_refused_in_one_line():
    refused = commands.refused(commands.run("sweep", "--config=experiments/configs/paper.py:fig99,cpu", "--dry_run"))
    assert refused.startswith("error: unknown item 'fig99': choose from fig1a") and "Traceback" not in refused


def test_help():
    done = commands.run("paper", "--help")
    assert "tables and figures: fig1a, fig1b" in done.stdout and "One of quick, cpu, paper." in done.stdout
