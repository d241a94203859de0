"""What is built for PyPI, and the files for those who contribute: contents, links, versions that agree."""

import configparser
import email
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from markdown_it import MarkdownIt

from tests.conftest import REPOSITORY

CONFIG = configparser.ConfigParser()
CONFIG.read(REPOSITORY / "setup.cfg")
METADATA = CONFIG["metadata"]
URLS = dict(line.split(" = ") for line in METADATA["project_urls"].strip().splitlines())
NOT_SHIPPED = {".gitignore", ".ci/run"}
GITHUB = REPOSITORY / ".github"
YAMLS = [
    *sorted(GITHUB.rglob("*.yml")),
    *(REPOSITORY / name for name in (".pre-commit-config.yaml", ".readthedocs.yaml", "CITATION.cff")),
]
PYTHONS = re.findall(r"Python :: (3\.\d+)$", METADATA["classifiers"], re.MULTILINE)


def tracked() -> list[str]:
    """Paths that git knows, or would add; without git, as in an unpacked sdist, all."""
    if not (REPOSITORY / ".git").exists():
        files = (path for path in REPOSITORY.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
        return sorted(path.relative_to(REPOSITORY).as_posix() for path in files)
    program = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(program, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout.splitlines()
    return sorted(path for path in listed if (REPOSITORY / path).exists())


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """(names in the wheel, names in the sdist, metadata) of a copy, the wheel made from the sdist; no network."""
    folder = tmp_path_factory.mktemp("package")
    source, out = folder / "source", folder / "dist"
    for name in tracked():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / name, source / name)
    program = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(source)]
    done = subprocess.run(program, capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,), (sdist,) = out.glob("*.whl"), out.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    with zipfile.ZipFile(wheel) as archive:
        metadata = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return set(archive.namelist()), inside, email.message_from_bytes(archive.read(metadata))


def test_the_wheel_is_the_library_and_its_data_alone(built):
    wheel, _, _ = built
    assert {name.split("/")[0] for name in wheel if ".dist-info/" not in name} == {"csdip_jax"}
    assert {name for name in tracked() if name.startswith("csdip_jax/")} == {
        name for name in wheel if name.startswith("csdip_jax/")
    }


@pytest.mark.skipif(not (REPOSITORY / ".git").exists(), reason="needs a clone: git knows what is built")
def test_the_sdist_holds_what_the_tests_need_and_nothing_built(built):
    _, sdist, _ = built
    assert set(tracked()) - sdist <= NOT_SHIPPED
    assert not [name for name in sdist if re.search(r"__pycache__|\.pyc$|(^|/)_build(/|$)", name)]


def test_the_metadata_tells_who_where_and_for_which_python(built):
    *_, metadata = built
    assert metadata["Author"] and metadata["Keywords"] and metadata["License-Expression"] == "Apache-2.0"
    assert {name: url for name, _, url in (each.partition(", ") for each in metadata.get_all("Project-URL"))} == URLS
    assert "Typing :: Typed" in metadata.get_all("Classifier")
    assert set(metadata.get_all("Provides-Extra")) >= {"bench", "bm3d", "cuda", "dev", "experiments"}


def test_the_command_has_an_entry_point(built):
    assert CONFIG["options.entry_points"]["console_scripts"].strip() == "csdip = csdip_jax.commands.csdip:main"


def links_of(text: str) -> Iterator[tuple[str, bool]]:
    """(target, whether it is shown as a picture) of the links of a page in Markdown, those in HTML too."""
    for token in MarkdownIt().parse(text):
        for each in [token, *(token.children or [])]:
            if each.type in ("image", "link_open"):
                yield str(each.attrs["src" if each.type == "image" else "href"]), each.type == "image"
            elif each.type.startswith("html"):
                yield from ((target, kind == "src") for kind, target in re.findall(r'(src|href)="(.*?)"', each.content))


def test_links_of_the_long_description_are_absolute_and_lead_to_files(built):
    *_, metadata = built
    assert metadata["Description-Content-Type"] == "text/markdown"
    links, ours = (
        list(links_of(metadata.get_payload())),
        re.compile(rf"{re.escape(URLS['Repository'])}/(blob|raw)/main/"),
    )
    assert any(is_picture for _, is_picture in links)
    for target, is_picture in links:
        assert re.match("https://|mailto:|#", target), f"{target}: no absolute link, and no file"
        found = ours.match(target)
        if found:
            assert (REPOSITORY / target[found.end() :].partition("#")[0]).exists(), target
            assert found[1] == "raw" or not is_picture, f"{target} is a page about a picture"


@pytest.mark.parametrize("path", YAMLS, ids=lambda path: path.relative_to(REPOSITORY).as_posix())
def test_the_file_is_yaml(path):
    assert yaml.safe_load(path.read_text())


def test_issue_forms_ask_what_an_answer_needs():
    forms = {path.stem: yaml.safe_load(path.read_text()) for path in (GITHUB / "ISSUE_TEMPLATE").glob("*.yml")}
    assert {"bug", "feature", "question"} <= forms.keys()
    for name in ("bug", "feature", "question"):
        form = forms[name]
        assert form["name"] and form["description"]
        ids = [field["id"] for field in form["body"] if field["type"] != "markdown"]
        assert len(set(ids)) == len(ids)
    bug = (GITHUB / "ISSUE_TEMPLATE" / "bug.yml").read_text()
    assert "csdip --version" in bug and "shape" in bug


def jobs() -> dict:
    return yaml.safe_load((GITHUB / "workflows" / "ci.yml").read_text())["jobs"]


def test_the_workflow_runs_the_pythons_of_the_classifiers():
    assert [float(each) for each in PYTHONS] == sorted(map(float, PYTHONS))
    assert jobs()["test"]["strategy"]["matrix"]["python"] == PYTHONS
    assert CONFIG["options"]["python_requires"] == f">={PYTHONS[0]}"
    pyproject = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]
    assert pyproject["pyright"]["pythonVersion"] == PYTHONS[0]
    assert pyproject["ruff"]["target-version"] == "py" + PYTHONS[0].replace(".", "")


def test_the_workflow_calls_targets_of_the_makefile_that_exist():
    targets = re.findall(r"^([\w-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
    steps = [step.get("run", "") for job in jobs().values() for step in job["steps"]]
    called = re.findall(r"\bmake ([\w-]+)", "\n".join(steps))
    assert called and set(called) <= set(targets)


def floors_of_dev() -> dict[str, str]:
    lines = CONFIG["options.extras_require"]["dev"].split()
    return {re.split(r"[\[>]", line)[0]: line.partition(">=")[2].partition(",")[0] for line in lines}


def as_numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.removeprefix("v").split("."))


@pytest.mark.parametrize(("hook", "package"), [("ruff-pre-commit", "ruff"), ("pyright-python", "pyright")])
def test_hooks_are_no_older_than_what_setup_cfg_asks_for(hook, package):
    config = yaml.safe_load((REPOSITORY / ".pre-commit-config.yaml").read_text())
    (revision,) = [repo["rev"] for repo in config["repos"] if repo["repo"].endswith(hook)]
    assert as_numbers(revision) >= as_numbers(floors_of_dev()[package])


def test_the_citation_is_of_this_version_and_place():
    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text())
    assert citation["version"] == METADATA["version"]
    assert (citation["repository-code"], citation["url"]) == (URLS["Repository"], URLS["Documentation"])
    assert citation["keywords"] == METADATA["keywords"].strip().splitlines()


def test_the_changelog_tells_of_this_version():
    headings = re.findall(r"^## \[?([\w.]+)", (REPOSITORY / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] == "Unreleased" or headings[0] == METADATA["version"]


def test_tests_that_contributors_are_told_to_run_exist():
    for path in re.findall(r"\btests/[\w/]+(?:\.py)?", (REPOSITORY / "CONTRIBUTING.md").read_text()):
        assert Path(REPOSITORY / path).exists(), path
