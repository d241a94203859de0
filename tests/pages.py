"""What stands in the pages: README.md and all other Markdown of the repository. Links, snippets, command lines."""

import re
import shlex
from pathlib import Path

from tests.conftest import REPOSITORY

NOT_OURS = re.compile(r"(\.\w.*|runs|data|_build|gallery|build|dist)$")
"""Folders."""

PAGES = sorted(
    path for path in REPOSITORY.rglob("*.md") if not any(map(NOT_OURS.match, path.relative_to(REPOSITORY).parts[:-1]))
)
READ_BY_USERS = [path for path in PAGES if path.name == "README.md" or path.is_relative_to(REPOSITORY / "docs")]
"""Those whose snippets and commands are held to run."""

PROGRAMS = ("csdip", "make", "python -m experiments.", "python examples/", "python -m csdip_jax")
PATTERN = re.compile(r"\.\.\.|<\w|…")
"""In a command line that stands for many."""


def name_of(page: Path) -> str:
    return page.relative_to(REPOSITORY).as_posix()


def fenced(page: Path, *languages: str) -> list[tuple[int, str]]:
    """(line, text) of the blocks ```language of a page."""
    text = page.read_text()
    blocks = re.finditer(rf"^```(?:{'|'.join(languages)})\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [(text[: block.start()].count("\n") + 1, block[1]) for block in blocks]


def files(page: Path) -> dict[str, str]:
    """Name -> text of the files that a page shows: a block of Python that begins with the name as its comment."""
    named = ((re.match(r"# (\w+\.py)\n", text), text) for _, text in fenced(page, "python"))
    return {name[1]: text for name, text in named if name}


def prose(page: Path) -> str:
    """A page without its fenced and indented blocks, lines kept."""
    text = re.sub(
        r"^```.*?^```", lambda block: "\n" * block[0].count("\n"), page.read_text(), flags=re.MULTILINE | re.DOTALL
    )
    return re.sub(r"(?<=\n\n)((?:    .*\n)+)", lambda block: "\n" * block[0].count("\n"), text)


def links(page: Path) -> list[str]:
    """Targets of a page's links and pictures."""
    text = re.sub(r"`[^`]+`", "", prose(page))
    return re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'(?:src|href)="([^"]+)"', text)


def anchors(page: Path) -> set[str]:
    """Of its headings, as GitHub and MyST make them."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def commands(page: Path) -> list[str]:
    """Each command line of a page that calls a program of ours, without its comment."""
    shell = [text for _, text in fenced(page, "sh", "bash")]
    outside = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    shell += re.findall(r"(?<=\n\n)((?:    .*\n)+)", outside)
    lines = [" ".join(line.split()) for text in shell for line in re.sub(r"\\\n\s*", " ", text).splitlines()]
    lines += [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose(page))]
    found = []
    for line in lines:
        for part in re.split(r" && | \| ", re.sub(r"\s+#\s.*$", "", line)):
            part = re.sub(r"^(srun|time) ", "", part)
            if part.startswith(PROGRAMS) and not PATTERN.search(part) and part not in found:
                found.append(part)
    return [line for line in found if line.split()[0] in ("make", "python", "csdip") and shlex.split(line)]
