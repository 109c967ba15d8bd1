"""How Sphinx builds the documentation: `make docs`."""

from __future__ import annotations

from cnnkit import __version__

project = "cnnkit"
version = release = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_heading_anchors = 3
autodoc_typehints = "description"
default_role = "code"  # one backtick in a docstring means what it means in Markdown
smartquotes = False  # `--set` has two dashes
html_theme = "furo"
html_title = f"cnnkit {__version__}"
html_show_copyright = False
