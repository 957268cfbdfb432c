"""The search language: text to terms, terms to an answer."""

from __future__ import annotations

from typing import Any

import pytest

from faktory_django.search import MAX_DEPTH, BadSearch, Query, Term, like, parse, quoted


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("", []),
        ("   ", []),
        ("type:Fetch*", [Term("type", "Fetch*")]),
        ("queue:mail  -queue:low", [Term("queue", "mail"), Term("queue", "low", negated=True)]),
        ("tag:a label:b", [Term("tag", "a"), Term("tag", "b")]),
        ('error:"timed out"', [Term("error", "timed out")]),
        (r'error:"say \"no\" \\ yes"', [Term("error", 'say "no" \\ yes')]),
        ("args.user_id=42", [Term("args", "42", ("user_id",))]),
        ("args.0.user.id:42", [Term("args", "42", ("0", "user", "id"))]),
        ('args.name="Ada Lovelace"', [Term("args", "Ada Lovelace", ("name",))]),
        ("custom.locale=ja", [Term("custom", "ja", ("locale",))]),
        ("args:ada@example.org", [Term("args", "ada@example.org")]),
        ("jid:b4f1", [Term("jid", "b4f1")]),
        ("TYPE:x", [Term("type", "x")]),
        ("b4f1", [Term("word", "b4f1")]),
        ("-b4f1", [Term("word", "b4f1", negated=True)]),
        ("shop.jobs.send_mail", [Term("word", "shop.jobs.send_mail")]),
        ('"mail::Send"', [Term("word", "mail::Send")]),
        ("type:日本", [Term("type", "日本")]),
    ],
)
def test_words_become_terms(text: str, terms: list[Term]) -> None:
    assert list(parse(text).terms) == terms


@pytest.mark.parametrize(
    ("text", "word", "why"),
    [
        ("typ:x", "typ", BadSearch.UNKNOWN),
        ("queue:a http://x", "http", BadSearch.UNKNOWN),
        ("queue:", "queue:", BadSearch.EMPTY),
        ('queue:""', 'queue:""', BadSearch.EMPTY),
        ('error:"timed out', 'error:"timed', BadSearch.QUOTE),
        ('a "b', '"b', BadSearch.QUOTE),
        ("queue.a=b", "queue.a", BadSearch.PATH),
        ("a\0b", "a␀b", BadSearch.NUL),
        (" ".join("abcdefghijk"), "k", BadSearch.MANY),
        ("x" * 401, "x" * 20 + "…", BadSearch.LONG),
    ],
)
def test_an_error_names_the_word_at_fault(text: str, word: str, why: str) -> None:
    with pytest.raises(BadSearch) as caught:
        parse(text)

    assert (caught.value.word, caught.value.why) == (word, why)


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        ("a", "a", True),
        ("a", "ab", False),
        ("a*", "ab", True),
        ("*b", "ab", True),
        ("*b", "ba", False),
        ("a*c", "abc", True),
        ("a*a", "a", False),
        ("*x*y*", "axbyc", True),
        ("*y*x*", "axbyc", False),
        ("*", "", True),
        ("a.c", "abc", False),
    ],
)
def test_a_star_stands_for_any_text(pattern: str, text: str, found: bool) -> None:
    assert like(pattern, text) is found


ARGS = [4711, {"user_id": 42, "deep": {"on": True, "off": None}, "rate": 1.5}, ["x", {"y": "z"}]]
CUSTOM = {"tags": ["nightly", "eu"], "labels": "blue", "locale": "ja"}
FAILURE = {"errtype": "socket.gaierror", "message": "Name or service not known (4711)"}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("args.user_id=42", True),
        ("args.user_id=4", False),
        ("args.user_id=4*", True),
        ("args.1.user_id=42", True),
        ("args.0.user_id=42", False),
        ("args.0=4711", True),
        ("args.9=4711", False),
        ("args.user_id.x=42", False),
        ("args.0.x=4711", False),
        ("args.2.y=z", True),
        ("args.deep.on=true", True),
        ("args.deep.off=null", True),
        ("args.deep=true", False),
        ("args.rate=1.5", True),
        ("args.2.0=x", True),
        ("args:z", True),
        ("args:4711", True),
        ("args:nobody", False),
        ("-args:nobody", True),
        ("-args.user_id=42", False),
        ("tag:eu", True),
        ("tag:e", False),
        ("label:blue", True),
        ("custom.locale=ja", True),
        ("custom.tags=eu", False),
        ("error:GAIERROR", True),
        ('error:"gaierror: Name"', True),
        ('error:"not known (*)"', True),
        ("error:other", False),
        ("error:socket args.user_id=43", False),
    ],
)
def test_contents_meet_the_terms_or_not(text: str, found: bool) -> None:
    assert parse(text).accepts(ARGS, CUSTOM, FAILURE) is found


def test_values_are_looked_for_to_a_bounded_depth() -> None:
    nested: list[Any] = ["deep"]
    for _ in range(MAX_DEPTH - 1):
        nested = [nested]

    assert parse("args:deep").accepts(nested, None, {})
    assert not parse("args:deep").accepts([nested], None, {})


@pytest.mark.parametrize("value", ["a", "a b", 'a "b"', "\\", 'x\\" y', "日 本"])
def test_what_is_quoted_is_read_back(value: str) -> None:
    assert parse(f"error:{quoted(value)}") == Query((Term("error", value),))


def test_a_search_for_contents_says_so() -> None:
    assert parse("error:x").deep
    assert not parse("error:x").reads_contents
    assert parse("tag:x").reads_contents
    assert not parse("type:x jid:y").deep


def test_only_one_plain_word_may_be_a_jid() -> None:
    assert parse("b4f1").lone_word == "b4f1"
    assert parse("b4*").lone_word is None
    assert parse("a b").lone_word is None
    assert parse("-a").lone_word is None
