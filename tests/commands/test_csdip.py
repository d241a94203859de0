"""The words after `csdip`."""

import os
import subprocess
import sys

import pytest

from csdip_jax.commands import csdip
from tests.commands import typed as commands
from tests.conftest import REPOSITORY


@pytest.fixture
def typed(monkeypatch, capsys):
    """What `csdip` with these arguments prints and exits with; programs are named, not run."""
    monkeypatch.setattr(csdip, "run", lambda name, options: sys.exit(f"runs {name} {' '.join(options)}".strip()))

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["csdip", *arguments])
        try:
            csdip.main()
        except SystemExit as ended:
            return ended.code
        return capsys.readouterr().out

    return run


@pytest.mark.parametrize("arguments", [(), ("help",), ("--help",), ("-h",), ("help", "nothing")])
def test_help_tells_every_command_and_the_exit_codes(typed, arguments):
    shown = typed(*arguments)
    assert all(f"  csdip {name} " in shown for name in csdip.COMMANDS) and "130 interrupted" in shown
    assert max(map(len, shown.splitlines())) <= 102


def test_commands_get_their_options(typed):
    assert typed("sweep", "--dry_run") == "runs sweep --dry_run"
    assert typed("help", "report") == "runs report --help"


def test_help_of_the_demo_begins_with_the_demo(monkeypatch, capsys):
    monkeypatch.setattr(csdip.runpy, "run_module", lambda *_, **__: print("Reconstructs"))
    monkeypatch.setattr(sys, "argv", [])
    csdip.run("demo", ["--help"])
    shown = capsys.readouterr().out.splitlines()
    assert shown[0].startswith("The demo: ") and shown[2:] == ["", "Reconstructs"]
    csdip.run("demo", ["--max_side=32"])
    csdip.run("reconstruct", ["--help"])
    assert capsys.readouterr().out.splitlines() == 2 * ["Reconstructs"]


def test_a_mistyped_command_is_told_what_may_be_meant(typed):
    assert typed("reconstrct").endswith("did you mean csdip reconstruct?")
    assert (
        typed("xyz")
        == "error: csdip has no command 'xyz': demo, reconstruct, sweep, report, data; csdip --help tells them"
    )


def test_the_version_is_what_a_report_of_a_bug_needs(typed):
    (line,) = typed("--version").splitlines()
    assert line.startswith("csdip ") and all(word in line for word in ("python", "jax ", "numpy", "cpu"))


@pytest.mark.parametrize("words", [[], ["data", "--help"]], ids=["csdip", "launcher"])
def test_a_reader_that_has_ended_is_no_bug(words):
    """As `| head` may."""
    reads, writes = os.pipe()
    os.close(reads)
    program = [sys.executable, "-m", "csdip_jax", *words]
    done = subprocess.run(program, cwd=REPOSITORY, stdout=writes, stderr=subprocess.PIPE)
    os.close(writes)
    assert (done.returncode, done.stderr) == (csdip.NOBODY_READS, b"")


@pytest.mark.parametrize("name", csdip.COMMANDS)
def test_help_names_no_file_of_a_clone(name):
    """Whoever installed the wheel has none."""
    shown = commands.run(csdip.COMMANDS[name].module, *csdip.COMMANDS[name].options, "--help").stdout
    assert "--config" in shown or name in ("report", "data")
    assert "experiments/" not in shown and "python -m experiments" not in shown
