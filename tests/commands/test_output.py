"""What a command prints where nobody watches: lines alone; bars on a terminal."""

import os
import pty
import subprocess
import termios

from tests.commands.typed import Terminal, command, run
from tests.conftest import REPOSITORY

FIT = ("--config.data=demo", "--image_shape=8,8,1", "--config.num_images=1", "--methods=tv", "--config.tv.steps=3")


def on_a_terminal(*options: str) -> str:
    """What a command writes to a terminal of its own."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 100))  # a bar has no room on one of no columns
    known = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    process = subprocess.Popen(
        command("reconstruct", *options),
        cwd=REPOSITORY,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=known | {"TERM": "xterm"},
    )
    os.close(theirs)
    shown = b""
    try:
        while chunk := os.read(ours, 4096):
            shown += chunk
    except OSError:  # Linux says so of a terminal that nobody holds any more
        pass
    os.close(ours)
    assert process.wait() == 0, shown
    return shown.decode().replace("\r\n", "\n")


def test_bars_on_a_terminal_and_plain_lines_elsewhere(tmp_path, monkeypatch):
    assert "\r" in on_a_terminal(*FIT, f"--workdir={tmp_path / 'shown'}")
    with monkeypatch.context() as patched:
        patched.delenv("NO_COLOR", raising=False)
        patched.setenv("TERM", "dumb")
        done = run("reconstruct", *FIT, f"--workdir={tmp_path / 'dumb'}", stream=Terminal)
    assert done.returncode == 0, done.stderr
    dumb = done.stdout + done.stderr
    piped = subprocess.run(
        command("reconstruct", *FIT, f"--workdir={tmp_path / 'piped'}"),
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=True,
    ).stdout
    for text in (dumb, piped):
        assert not set("\r\x1b█") & set(text) and "camera-tv: 0/3 step [" in text and "camera-tv: 3/3 step [" in text
    # Each line is there at once: those of the two outputs come in the order in which they were said.
    assert piped.index("workdir:") < piped.index("0/3 step") < piped.index("pictures:")
