"""What jobs, workers and queues carry is text on every page, whatever it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.utils.html import format_html

from faktory_django.models import Operation

from . import hostile
from .addresses import address, names, readable

if TYPE_CHECKING:
    from django.test import Client

JSON = "application/json"  # with nosniff
QUERIES = ("q", "queue", "page", "after", "before", "days", "next", "every", "back", "sort")


@pytest.fixture
def hostile_world(db: None) -> None:
    """Put the corpus into every field."""
    del db
    hostile.fill()


def parts(text: str) -> dict[str, Any]:
    """Return what a path can hold of a text."""
    operation = Operation.objects.order_by("pk")[0].pk
    return {"jid": text[:200], "bid": text[:200], "name": text, "jobtype": text, "key": operation}


def look(client: Client, url: str, **query: str) -> str:
    """Return a page, asked for as a whole and as htmx does."""
    pages = [client.get(url, query, headers={"HX-Request": said}) for said in ("", "true")]
    assert {page.status_code for page in pages} <= {200, 302, 400, 404}, url
    return "".join(page.content.decode() for page in pages if page["Content-Type"] != JSON)


@pytest.mark.usefixtures("hostile_world")
@pytest.mark.parametrize("name", [name for name in names() if readable(name)])
def test_no_field_breaks_out_of_its_place(chief: Client, name: str) -> None:
    urls = {address(name, parts(text)) for text in hostile.CORPUS}

    found = {url: hostile.breakouts(look(chief, url)) for url in urls}

    assert {url: what for url, what in found.items() if what} == {}


@pytest.mark.usefixtures("hostile_world")
@pytest.mark.parametrize("name", [name for name in names() if readable(name)])
def test_no_parameter_breaks_out_of_its_place(chief: Client, name: str) -> None:
    url = address(name, parts(hostile.CORPUS[0]))

    found = [
        hostile.breakouts(look(chief, url, **dict.fromkeys(QUERIES, text)))
        for text in hostile.CORPUS
    ]

    assert [what for what in found if what] == []


CARELESS = (
    '<p title="{}"></p>',
    "<p title='{}'></p>",
    "<p title={}></p>",
    '<a href="{}"></a>',
    "{}",
)
HARMLESS = [text for text in hostile.CORPUS if "{{" in text or text.startswith("&lt;")]


@pytest.mark.parametrize("text", [text for text in hostile.CORPUS if text not in HARMLESS])
def test_a_careless_page_would_be_noticed(text: str) -> None:
    assert any(hostile.breakouts(page.format(text)) for page in CARELESS)


@pytest.mark.parametrize("text", hostile.CORPUS)
def test_a_careful_page_is_not_accused(text: str) -> None:
    page = format_html("<p title='{}' class=\"{}\">{}</p>", text, text, text)

    assert hostile.breakouts(page) == []
