"""One HTML page, and Markdown, of every result under a folder.

    csdip report --workdir=runs
    csdip report --workdir=runs/paper --output=paper.html

Takes what csdip reconstruct and sweep wrote, and the experiments of the paper, also while they run:
what was run, means with 95 % intervals, curves against whatever was swept, contact sheets of the reconstructions,
settings, versions, device and commit, and the worst and the slowest cells. Without true images the verdicts on the fits
stand in place of the means. The page is one file: it opens from disk, and nothing of it is fetched from anywhere. The
Markdown lies beside it.
"""

from pathlib import Path

from absl import flags

from csdip_jax.commands import launcher
from csdip_jax.commands.report.page import report
from csdip_jax.types import InputError

_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the results: of a run, or one above several.")
_OUTPUT = flags.DEFINE_string("output", None, "The page, a file that ends in .html; default: <workdir>/report.html.")


def main() -> None:
    if not _WORKDIR.value:
        raise InputError("--workdir is missing: name the folder of the results, --workdir=runs for example")
    said, page, markdown = report(Path(_WORKDIR.value), Path(_OUTPUT.value) if _OUTPUT.value else None)
    print(said["found"])
    for problem in said["problems"]:
        print(f"warning: {problem}")
    print(f"page: {page} ({page.stat().st_size / 2**20:.1f} MiB), text: {markdown}")


if __name__ == "__main__":
    launcher.run(main, interrupted="nothing was written", needs_arguments=True)
