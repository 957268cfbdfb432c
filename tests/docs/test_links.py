"""What the pages lead to is there."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from .pages import ROOT, anchors, links, pages

if TYPE_CHECKING:
    from pathlib import Path

PAGES = [pytest.param(page, id=str(page.relative_to(ROOT))) for page in pages()]


@pytest.mark.parametrize("page", PAGES)
def test_each_relative_link_leads_somewhere(page: Path) -> None:
    for link in links(page):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, fragment = link.partition("#")
        target = (page.parent / path).resolve() if path else page

        assert target.exists(), link
        assert target.is_relative_to(ROOT), link
        assert not fragment or fragment in anchors(target), link


@pytest.mark.parametrize("page", PAGES)
def test_no_page_names_a_place_of_a_machine(page: Path) -> None:
    text = page.read_text(encoding="utf-8")

    assert not re.search(r"/(root|work|home)/", text)


def test_each_page_of_the_docs_is_linked_from_the_readme_or_a_page() -> None:
    linked = {
        (page.parent / link.partition("#")[0]).resolve()
        for page in pages()
        for link in links(page)
        if not re.match(r"[a-z]+:|#", link)
    }
    alone = {page for page in pages() if page.is_relative_to(ROOT / "docs")} - linked

    # Decisions are linked as a folder.
    assert {page for page in alone if page.parent.name != "decisions"} == set()


def test_the_readme_says_how_to_run_the_tests() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")

    assert "make test" in readme
    assert len(readme.splitlines()) <= 150


def test_the_changelog_has_a_section_for_what_is_not_released() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")

    assert re.search(r"^## \[?Unreleased", changelog, re.MULTILINE)
