"""No parameter makes a page fail: 200, a redirect, 400, 403 or 404, never 500."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from faktory_django import dashboard

from .addresses import address, names, readable, values

if TYPE_CHECKING:
    from django.test import Client

    from .world import World

READS: Final = re.compile(r"(?:GET|POST|\bdata|\bparams)(?:\.get(?:list)?\(|\[)\s*\"(\w+)\"")
SOURCES: Final = sorted(Path(dashboard.__file__).parent.glob("*.py"))
PARAMETERS: Final = sorted(
    {name for path in SOURCES for name in READS.findall(path.read_text(encoding="utf-8"))}
    | {"q", "after", "before", "days", "every", "ids", "act", "count", "confirmed"}
)
SEARCHES: Final = (
    *("type:", "queue:a queue:b", 'error:"', "args.user_id=42", "args.=", "args..a=1", "jid:x"),
    *("tag:\0", "label:é", "-type:x", "args.a.b.c.d.e=null", 'args."x"=1', "(((", "\\", "%_%"),
    *("args.user_id=" + "9" * 400, "args.user_id=1e999", "a" * 5_000, "jid:" + "x" * 3_000),
)
NUMBERS: Final = (
    "-1",
    "0",
    "9" * 30,
    "1e9",
    "NaN",
    "\u0661\u0662",
    "1.5",
    "0x10",
    "1" * 5_000,
    "",
    "x",
)
MOMENTS: Final = ("2026-01-01T00:00:00Z", "9999-99-99", "1_2", "2026-01-01T00:00:00Z,5", "e30=")
PATHS: Final = ("../../etc/passwd", "/", "\\", "..", "a/../b")
TEXT: Final = st.one_of(
    st.sampled_from((*SEARCHES, *NUMBERS, *MOMENTS)),
    st.text(st.characters(codec="utf-8"), max_size=60),
)
QUERY: Final = st.dictionaries(st.sampled_from(PARAMETERS), st.lists(TEXT, min_size=1, max_size=3))
FINE: Final = {200, 302, 303, 400, 403, 404}
FUZZ: Final = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.mark.parametrize("name", [name for name in names() if readable(name)])
def test_no_query_makes_a_page_fail(chief: Client, busy: World, name: str) -> None:
    url = address(name, values(busy))

    @FUZZ
    @given(QUERY, st.booleans())
    def look(query: dict[str, list[str]], fragment: bool) -> None:
        headers = {"HX-Request": "true"} if fragment else {}
        assert chief.get(url, query, headers=headers).status_code in FINE

    look()


@pytest.mark.parametrize("name", [name for name in names() if not readable(name)])
def test_no_form_makes_an_act_fail(chief: Client, busy: World, name: str) -> None:
    url = address(name, values(busy))

    @FUZZ
    @given(QUERY)
    def post(form: dict[str, list[str]]) -> None:
        assert chief.post(url, form).status_code in FINE

    post()


@pytest.mark.parametrize("cookie", ["faktory_every", "faktory_zone", "django_language"])
def test_no_cookie_makes_a_page_fail(chief: Client, cookie: str) -> None:
    for value in (*NUMBERS, *MOMENTS, *PATHS, "Asia/Tokyo", "zz", "ja"):
        if value.isascii():
            chief.cookies[cookie] = value
            assert chief.get("/faktory/").status_code == 200, value


PARTS: Final = ["\0", "..", "%2e%2e", "9" * 40, "é", " ", "'", "a" * 3_000, "\ud7ff", "-1", "x/y"]


@pytest.mark.parametrize("name", names())
def test_no_path_makes_a_page_fail(chief: Client, busy: World, name: str) -> None:
    whole = address(name, values(busy))
    found = {}

    for part in PARTS:
        url = whole
        for said in values(busy).values():
            url = url.replace(f"/{said}/", f"/{part}/".replace("\0", "%00"))
        found[part] = chief.generic("GET" if readable(name) else "POST", url).status_code

    assert {part: status for part, status in found.items() if status not in FINE} == {}
