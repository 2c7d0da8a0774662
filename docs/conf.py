"""Sphinx builds the documentation from this: `make docs`."""

import sys
from importlib import metadata
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent / "tools"), str(Path(__file__).parents[1])]

project = "NASES"
author = copyright = "The NASES authors"
release = metadata.version("nases-env")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
extensions += ["from_code", "notebook_page"]  # in tools/
exclude_patterns = ["_build", "tools", "results"]
nitpicky = False  # annotations name classes of libraries whose documentation a build without a network cannot read

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_class_signature = "mixed"
napoleon_use_rtype = False

html_theme = "furo"
html_title = "NASES"
html_static_path = ["static"]
html_css_files = ["tables.css", "commands.css"]
html_show_sphinx = False
