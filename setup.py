"""The description on PyPI: README.md, whose links into the repository become addresses. All else is in setup.cfg."""

import re
from configparser import ConfigParser
from pathlib import Path

from setuptools import setup

HERE = Path(__file__).parent
PICTURES = (".gif", ".jpg", ".png", ".svg", ".webp")


def described(readme: str, repository: str) -> str:
    """The text with each link to a file or folder of this repository made absolute, pictures to their bytes."""

    def absolute(link: re.Match) -> str:
        before, target = link.groups()
        path = target.partition("#")[0]
        if not (path and (HERE / path).exists()):
            return link[0]
        return f"{before}{repository}/{'raw' if path.endswith(PICTURES) else 'blob'}/main/{target}"

    return re.sub(r'(\]\(|href="|src=")([^)"\s]+)', absolute, readme)


config = ConfigParser()
config.read(HERE / "setup.cfg", encoding="utf-8")
urls = dict(line.split(" = ") for line in config["metadata"]["project_urls"].strip().splitlines())
text = described((HERE / "README.md").read_text(encoding="utf-8"), urls["Repository"])
setup(long_description=text, long_description_content_type="text/markdown")
