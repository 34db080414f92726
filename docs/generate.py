"""What the site has beyond the pages in this folder; MkDocs calls it (`hooks` in mkdocs.yml).

README.md is its start page, and CHANGELOG.md its last. Files of the checkout that a page links to
come along as they are. A page that would load anything from elsewhere fails the build.
"""

import posixpath
import re
from pathlib import Path
from urllib.parse import urlsplit

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from reference_pages import filled

CHECKOUT = Path(__file__).parents[1]
# By the name that a page has on the site.
OF_THE_CHECKOUT = {"index.md": "README.md", "changelog.md": "CHANGELOG.md"}
LINK = re.compile(r"(?P<label>\[[^\]]*\])\((?P<target>[^)#\s]+)(?P<anchor>#[\w-]+)?\)")
# What a browser fetches by itself; links that a reader follows are no concern.
LOADED = re.compile(
    r"<(?:script|img|iframe|source|link(?![^>]*rel=.?canonical))\b[^>]*?(?:src|href)=[\"']?"
    r"((?:https?:)?//[^\"'\s>]+)",
    re.IGNORECASE,
)


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the pages that stand elsewhere, and every file of the checkout that a page links to."""
    for name, source in OF_THE_CHECKOUT.items():
        files.append(File.generated(config, name, content=(CHECKOUT / source).read_text("utf-8")))
    for page in files.documentation_pages():
        for found in LINK.finditer(page.content_string):
            target = _in_checkout(page.src_uri, found["target"])
            name = _on_site(target)
            if (CHECKOUT / target).is_file() and files.get_file_from_path(name) is None:
                files.append(File.generated(config, name, abs_src_path=str(CHECKOUT / target)))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links lead to where their targets are on the site; add what comes from the code."""
    del config
    source = page.file.src_uri

    def led(found: re.Match[str]) -> str:
        target = _in_checkout(source, found["target"])
        if urlsplit(found["target"]).scheme or target.startswith("../"):
            return found[0]
        if (CHECKOUT / target).is_dir():  # a site shows pages, not folders
            return found["label"][1:-1]
        name = _on_site(target)
        if files.get_file_from_path(name) is None:
            return found[0]  # which MkDocs will say leads nowhere
        near = posixpath.relpath(name, posixpath.dirname(source) or ".")
        return f"{found['label']}({near}{found['anchor'] or ''})"

    return filled(LINK.sub(led, markdown))


def on_page_content(html: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Take out the two colons before code, which docstrings have for Sphinx and for people."""
    del page, config, files
    return html.replace("<p>::</p>\n", "").replace("::</p>", ":</p>")


def on_post_page(output: str, *, page: Page, config: MkDocsConfig) -> str:
    """Fail where a page loads something from elsewhere: who reads it is nobody's business.

    Raises
    ------
    PluginError
        Which names the page and the address.
    """
    del config
    if found := LOADED.search(output):
        raise PluginError(f"{page.file.src_uri} loads {found[1]}: put it into docs/ and name that")
    return output


def _in_checkout(source: str, target: str) -> str:
    """Return which file of the checkout a page's link means."""
    folder = posixpath.dirname(OF_THE_CHECKOUT.get(source, f"docs/{source}"))
    return posixpath.normpath(posixpath.join(folder, target))


def _on_site(target: str) -> str:
    """Return where a file of the checkout is on the site; text that is no page of it stays text."""
    for name, source in OF_THE_CHECKOUT.items():
        if target == source:
            return name
    if target.startswith("docs/"):
        return target.removeprefix("docs/")
    return f"files/{target}.txt" if target.endswith(".md") else f"files/{target}"
