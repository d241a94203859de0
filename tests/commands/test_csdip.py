"""The words after `csdip`."""

import sys

import pytest

from csdip_jax.commands import csdip


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


def test_a_mistyped_command_is_told_what_may_be_meant(typed):
    assert typed("reconstrct").endswith("did you mean csdip reconstruct?")
    assert (
        typed("xyz")
        == "error: csdip has no command 'xyz': demo, reconstruct, sweep, report, data; csdip --help tells them"
    )


def test_the_version_is_what_a_report_of_a_bug_needs(typed):
    (line,) = typed("--version").splitlines()
    assert line.startswith("csdip ") and all(word in line for word in ("python", "jax ", "numpy", "cpu"))
