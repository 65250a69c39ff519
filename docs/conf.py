"""How Sphinx builds the documentation's site: `sphinx-build -W --keep-going -b html docs OUT`."""

import os
import re
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer

from tator import __version__

DOCS = Path(__file__).parent
REPOSITORY = DOCS.parent

project = "tator"
author = "the authors of tator"
release = version = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["requirements.txt"]
html_theme = "furo"
html_title = f"tator {release}"
html_static_path = ["style"]
html_css_files = ["narrow.css"]
html_show_sphinx = False
html_copy_source = False
html_show_copyright = False

# GitHub's anchors, so that a link works there and here.
myst_heading_anchors = 4

# The docstrings write `name` for code.
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
napoleon_custom_sections = [("Attributes", "params_style")]


def read_page(app: Sphinx, page: str, content: list[str]) -> None:
    """Point links that leave docs/ to the site's pages, and show the repository's own pages whole.

    A file in docs/project/ is replaced by the one of its name above docs/, if there is one.
    """
    source = DOCS / f"{page}.md"
    original = REPOSITORY / f"{source.stem.upper()}.md"
    if source.parent.name == "project" and original.exists():
        source = original
        content[0] = source.read_text("utf-8")
        app.env.note_dependency(str(source))

    def point(match: re.Match[str]) -> str:
        target = (source.parent / match["path"]).resolve()
        if target.parent == REPOSITORY and target.suffix == ".md":
            target = DOCS / "project" / target.name.lower()
        return f"]({os.path.relpath(target, (DOCS / page).parent)}{match['anchor']})"

    content[0] = re.sub(r"\]\((?P<path>[^):#\s]+)(?P<anchor>(#[^)\s]*)?)\)", point, content[0])
    if source.name == "index.md":
        content[0] += menus(content[0])


def menus(text: str) -> str:
    """Make the site's menus from the captioned lists of links on a page."""
    made = ""
    for caption, links in re.findall(r"^\*\*(.+)\*\*\n\n((?:- .*\n)+)", text, re.MULTILINE):
        entries = [
            f"{name} <{page}>"
            for name, page in re.findall(r"^- \[(.+?)\]\((.+?)\.md\)", links, re.M)
        ]
        lines = ["```{toctree}", ":hidden:", f":caption: {caption}", "", *entries, "```"]
        made += "\n" + "\n".join(lines) + "\n"
    return made


_results: dict[str, str] = {}  # what a function returns without options, by its full name


def keep_results(app: Sphinx, config: object) -> None:
    """Take the overloads, which type checkers read, out of what people read."""
    analyze = ModuleAnalyzer.analyze

    def analyze_without_overloads(self: ModuleAnalyzer) -> None:
        analyze(self)
        for name, overloads in self.overloads.items():
            _results[f"{self.modname}.{name}"] = str(overloads[0].return_annotation)
        self.overloads.clear()

    ModuleAnalyzer.analyze = analyze_without_overloads


def show_signature(
    app: Sphinx, what: str, name: str, obj: object, options: object, signature: str, returns: str
) -> tuple[str, str]:
    if what == "exception":
        return "", ""  # errors are read, not made
    full_name = f"{getattr(obj, '__module__', '')}.{getattr(obj, '__qualname__', '')}"
    return signature, _results.get(full_name, returns)


def setup(app: Sphinx) -> None:
    app.connect("source-read", read_page)
    app.connect("config-inited", keep_results)
    app.connect("autodoc-process-signature", show_signature)
