"""What Sphinx is told: `make docs` builds docs/_build/html. `-t quick` runs the gallery's scripts at toy size."""

import sys
from configparser import ConfigParser
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]
import csdip_jax  # noqa: E402

setup_cfg = ConfigParser()
setup_cfg.read(Path(__file__).parents[1] / "setup.cfg")
URLS = dict(line.split(" = ") for line in setup_cfg["metadata"]["project_urls"].strip().splitlines())

project = "csdip_jax"
author = setup_cfg["metadata"]["author"]
version = release = csdip_jax.__version__
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_gallery.gen_gallery",
    "sphinx_copybutton",
    "docstrings",
]
exclude_patterns = ["_build", "gallery/*.ipynb", "sg_execution_times.rst", "gallery/sg_execution_times.rst"]

html_theme = "furo"
html_title = "csdip_jax"
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_show_copyright = False
html_show_sourcelink = False
html_theme_options = {"source_repository": URLS["Repository"], "source_branch": "main", "source_directory": "docs/"}

myst_heading_anchors = 3
myst_enable_extensions = ["deflist"]

autodoc_typehints = "none"
autodoc_member_order = "groupwise"
autodoc_default_options = {"members": True, "imported-members": True, "undoc-members": True, "no-value": True}
napoleon_use_ivar = True
napoleon_use_rtype = False
napoleon_attr_annotations = False
napoleon_custom_sections = ["Warns"]

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"(?<!deepinv_physics)\.py$",  # which needs more than the docs do, and is shown as code
    "reset_argv": "docstrings.gallery_arguments",
    "within_subsection_order": "docstrings.ReadingOrder",
    "abort_on_example_error": True,
    "capture_repr": (),
    "download_all_examples": False,
    "min_reported_time": 0,
    "show_memory": False,
    "show_signature": False,
    "write_computation_times": False,
    "remove_config_comments": True,
}
