"""Sphinx: the documentation of hueprobe, built offline from the code, the notebooks and the results files."""

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE)]  # benchmarks/ and generators/ are not installed

from generators import api, claims, gallery, messages, results, schemas, sources, tutorials  # noqa: E402

import hueprobe  # noqa: E402

project = "hueprobe"
author = "The hueprobe authors"
copyright = "The hueprobe authors, Apache License 2.0"  # noqa: A001
release = hueprobe.__version__
version = ".".join(release.split(".")[:2])

extensions = [
    "myst_nb",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_click",
    "sphinx_design",
    "generators.mathml",
]
exclude_patterns = ["_build", "generators", "README.md", "gallery/data"]
default_role = "py:obj"
templates_path = ["_templates"]

# The pages made from the code and from benchmarks/results, before Sphinx looks for sources.
api.write(HERE / "reference" / "api")
claims.write(HERE / "concepts")
gallery.make(HERE / "gallery" / "data")
messages.write(HERE / "how-to" / "messages.inc")
results.write(HERE / "results")
tutorials.write(HERE / "tutorials")
sources.write(HERE / "gallery" / "sources.inc")
schemas.write(HERE / "reference" / "schemas.md")

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath", "attrs_inline", "substitution"]
myst_heading_anchors = 3
# Tutorials keep the outputs that they have; gallery pages are executed at every build.
nb_execution_mode = "cache"
os.environ["PYTHONWARNINGS"] = "ignore:IProgress not found"  # in kernels: pages show no progress bars
nb_execution_excludepatterns = ["tutorials/*"]
nb_execution_timeout = 600
nb_execution_raise_on_error = True
nb_merge_streams = True

autosummary_generate = True
autodoc_typehints = "none"  # numpydoc's tables have them
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

toc_object_entries_show_parents = "hide"
html_math_renderer = "mathml"
html_theme = "pydata_sphinx_theme"
html_title = f"hueprobe {release}"
html_static_path = ["_static"]
html_css_files = ["hueprobe.css"]
html_show_sourcelink = False
html_theme_options = {
    "logo": {"text": "hueprobe"},
    "show_prev_next": True,
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],  # pages of wide tables remove it themselves
    "navbar_align": "left",
    "header_links_before_dropdown": 7,
    "footer_start": ["copyright"],
    "footer_end": ["theme-version"],
}

ALIASES = api.aliases()


def home_of_alias(app, env, node, contnode):
    """Lead `hueprobe.observe` and its like to the page where the name is described."""
    name = node.get("reftarget") or ""
    owner, _, member = name.rpartition(".")
    target = ALIASES.get(name) or (f"{ALIASES[owner]}.{member}" if owner in ALIASES else None)
    if node.get("refdomain") != "py" or target is None:
        return None
    domain = env.get_domain("py")
    return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", target, node, contnode)


def setup(app):
    """Resolve the short names."""
    app.connect("missing-reference", home_of_alias)
