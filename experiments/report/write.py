"""From a folder to its report's two files."""

from pathlib import Path

from csdip_jax.io.files import write_atomically
from csdip_jax.types import InputError
from experiments.report import document, find, markdown, page
from experiments.report.blocks import Document


def report(workdir: Path, output: Path | None) -> tuple[Document, Path, Path]:
    """Writes the page and, beside it, the Markdown.

    Args:
        workdir: folder of runs and items.
        output: of the page, <workdir>/report.html by default.

    Returns:
        What it says, and the paths of the page and the Markdown.

    Raises:
        InputError: nothing to report, or `output` is no .html that can be written.
    """
    output = workdir / "report.html" if output is None else output
    if output.suffix != ".html":
        raise InputError(f"--output={output}: name a file that ends in .html")
    text = output.with_suffix(".md")
    found = document.build(find.find(workdir, own_files=[text]))
    try:
        _write(output, page.html(found))
        _write(text, markdown.markdown(found, output.parent, output.name))
    except OSError as error:
        raise InputError(f"{output} cannot be written ({error.strerror}): choose another --output") from error
    return found, output, text


def _write(path: Path, text: str) -> None:
    # Names of files may hold bytes that are no text.
    write_atomically(path, lambda file: file.write(text.encode(errors="replace")))
