"""Sphinx settings. Build: `sphinx-build -W --keep-going -b html docs build/docs`.

Sphinx and furo: Material for MkDocs, the other choice, has had no support since November 2026, and MkDocs 1.x no
release since 2024. Nothing is fetched from the network, at build time or by the pages: furo uses the fonts of the
system, formulas become MathML.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
sys.path.insert(0, str(Path(__file__).parent / "_ext"))

import slr_probe

project = "slr_probe"
author = "the authors of slr_probe"
copyright = "the authors; MIT licence"
version = release = slr_probe.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "glossary",
    "google_markdown",
    "mathml",
    "verbs",
]
exclude_patterns = ["_ext"]
myst_enable_extensions = ["dollarmath", "deflist", "colon_fence"]
myst_heading_anchors = 3
html_math_renderer = "mathml"

default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_class_signature = "mixed"
python_maximum_signature_line_length = 88
python_use_unqualified_type_names = True
add_module_names = False
napoleon_use_ivar = True
napoleon_use_rtype = False
napoleon_numpy_docstring = False

html_theme = "furo"
html_title = "slr_probe"
html_static_path = ["_static"]
html_css_files = ["extra.css"]
html_show_sphinx = False
html_copy_source = False
html_theme_options = {"navigation_with_keys": True, "top_of_page_buttons": []}
