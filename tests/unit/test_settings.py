"""settings.FAKTORY is read once, and what is wrong with it is named."""

from __future__ import annotations

import math
from typing import Any

import pytest

from faktory_django import settings
from faktory_django.errors import InvalidOption


def test_without_settings_every_key_has_its_default(settings: Any) -> None:
    from faktory_django import settings as ours

    del settings.FAKTORY

    assert ours.get() == ours.FaktorySettings()


def test_a_key_overrides_its_default(override_faktory: Any) -> None:
    override_faktory(CONCURRENCY=3, QUEUES=["a", "b"], GRACE_SECONDS=5, TRANSACTION_POOLER=True)

    found = settings.get()

    assert (found.concurrency, found.queues, found.grace_seconds) == (3, ("a", "b"), 5)
    assert found.transaction_pooler


def test_the_settings_are_read_again_when_a_test_changes_them(override_faktory: Any) -> None:
    override_faktory(CONCURRENCY=3)
    before = settings.get().concurrency
    override_faktory(CONCURRENCY=4)

    after = settings.get().concurrency

    assert (before, after) == (3, 4)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("CONCURRENCY", 0, "FAKTORY['CONCURRENCY'] must be 1 to 1000, got 0"),
        ("CONCURRENCY", 1_001, "FAKTORY['CONCURRENCY'] must be 1 to 1000, got 1001"),
        ("CONCURRENCY", "5", "FAKTORY['CONCURRENCY'] must be int, got '5'"),
        ("CONCURRENCY", 5.0, "FAKTORY['CONCURRENCY'] must be int, got 5.0"),
        ("CONCURRENCY", True, "FAKTORY['CONCURRENCY'] must be int, got True"),
        ("CONCURRENCY", None, "FAKTORY['CONCURRENCY'] must be int, got None"),
        ("TRANSACTION_POOLER", 1, "FAKTORY['TRANSACTION_POOLER'] must be bool, got 1"),
        ("POLL_SECONDS", "1", "FAKTORY['POLL_SECONDS'] must be float, got '1'"),
        ("POLL_SECONDS", math.nan, "FAKTORY['POLL_SECONDS'] must be 0.01 to 60, got nan"),
        ("GRACE_SECONDS", -1, "FAKTORY['GRACE_SECONDS'] must be 0 to 86400, got -1"),
        ("GRACE_SECONDS", math.inf, "FAKTORY['GRACE_SECONDS'] must be 0 to 86400, got inf"),
        ("DEFAULT_RETRY", -2, "FAKTORY['DEFAULT_RETRY'] must be -1 to 1000, got -2"),
        ("DEFAULT_RESERVE_FOR", 59, "FAKTORY['DEFAULT_RESERVE_FOR'] must be 60 to 86400, got 59"),
        ("DEFAULT_QUEUE", "a b", "FAKTORY['DEFAULT_QUEUE']: a queue name is 1 to 100 characters"),
        ("DATABASE", 5, "FAKTORY['DATABASE'] must be str, got 5"),
        (
            "SERVER_DESCRIPTION",
            "a\r\nb",
            "FAKTORY['SERVER_DESCRIPTION']: what the server calls itself is 1 to 100 printable",
        ),
        ("SERVER_DESCRIPTION", "", "is 1 to 100 printable characters, got ''"),
        ("SERVER_DESCRIPTION", "x" * 101, "is 1 to 100 printable characters, got 'xxx"),
        ("TRACK_MINUTES", 0, "FAKTORY['TRACK_MINUTES'] must be 1 to 525600, got 0"),
        ("QUEUES", "default", "FAKTORY['QUEUES'] must be a list of str, got 'default'"),
        ("QUEUES", ["a", 1], "FAKTORY['QUEUES'] must be a list of str, got ['a', 1]"),
        ("QUEUES", 5, "FAKTORY['QUEUES'] must be a list of str, got 5"),
        ("PUSH_MIDDLEWARE", None, "FAKTORY['PUSH_MIDDLEWARE'] must be a list of str, got None"),
        ("CONCURENCY", 5, "settings.FAKTORY has no key 'CONCURENCY'; it knows ASYNC_CONCURRENCY,"),
        (5, 5, "settings.FAKTORY has no key '5'; it knows ASYNC_CONCURRENCY,"),
    ],
)
def test_a_wrong_setting_is_named_with_its_value_and_limit(
    settings: Any, key: Any, value: Any, message: str
) -> None:
    from faktory_django import settings as ours

    settings.FAKTORY = {key: value}

    with pytest.raises(InvalidOption) as refusal:
        ours.get()

    assert message in str(refusal.value)


def test_settings_that_are_no_dict_are_refused(settings: Any) -> None:
    from faktory_django import settings as ours

    settings.FAKTORY = ["CONCURRENCY"]

    with pytest.raises(InvalidOption, match=r"settings.FAKTORY must be a dict, got \['CONC"):
        ours.get()


@pytest.mark.parametrize("name", ["a", "A-z_0.9", "x" * 100, "..", "__proto__"])
def test_a_queue_name_within_the_grammar_is_right(name: str) -> None:
    assert settings.check_queue_name(name) is None


@pytest.mark.parametrize(
    "name",
    [
        "",
        "x" * 101,
        "a b",
        "a/b",
        "a,b",
        "*",
        "größe",
        "a\n",
        "\n",
        "a\0",
        "٣",
        "a'b",
        None,
        5,
        b"a",
    ],
)
def test_a_queue_name_outside_the_grammar_is_refused_with_the_grammar(name: object) -> None:
    wrong = settings.check_queue_name(name)

    assert wrong is not None
    assert "a queue name is 1 to 100 characters of a-z, A-Z, 0-9, '.', '_' and '-'" in wrong
    assert wrong.endswith(f"got {name!r}")


def test_a_wrong_setting_is_found_by_manage_py_check(settings: Any) -> None:
    from faktory_django.checks import check_settings

    settings.FAKTORY = {"CONCURRENCY": 0}

    [found] = check_settings()

    assert (found.id, found.msg) == (
        "faktory_django.E001",
        "FAKTORY['CONCURRENCY'] must be 1 to 1000, got 0",
    )


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        ({}, ["faktory_django.W002"]),
        ({"SERVER_MUTATIONS": False}, []),
        ({"SERVER_MUTATIONS": False, "SERVER_BIND": "0.0.0.0:7419"}, ["faktory_django.W003"]),
        ({"SERVER_MUTATIONS": False, "SERVER_BIND": ":7419"}, ["faktory_django.W003"]),
        ({"SERVER_MUTATIONS": False, "SERVER_BIND": "[::1]:7419"}, []),
        ({"SERVER_BIND": "h:1", "SERVER_TLS_CERT": "x"}, ["faktory_django.W002"]),
        ({"NOTHING": 1}, []),
    ],
)
def test_manage_py_check_deploy_looks_at_the_wire_server(
    override_faktory: Any, keys: dict[str, Any], found: list[str]
) -> None:
    from faktory_django.checks import check_server

    override_faktory(**keys)

    assert [message.id for message in check_server()] == found


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        ({}, []),
        ({"PUSH_MIDDLEWARE": ["nowhere.to.be"]}, ["faktory_django.E002"]),
        ({"PERFORM_MIDDLEWARE": ["tests.settings.nothing"]}, ["faktory_django.E002"]),
        ({"DASHBOARD_QUEUE_ACCESS": "nowhere.to.be"}, ["faktory_django.E006"]),
        ({"DATABASE": "other"}, ["faktory_django.E003"]),
        ({"FAST_ACKS": True}, ["faktory_django.W001"]),
        ({"SILENT_PROCESS_SECONDS": 15, "BEAT_SECONDS": 5}, []),
        ({"SILENT_PROCESS_SECONDS": 14, "BEAT_SECONDS": 5}, ["faktory_django.W004"]),
    ],
)
def test_manage_py_check_looks_at_what_settings_name(
    override_faktory: Any, keys: dict[str, Any], found: list[str]
) -> None:
    from faktory_django.checks import check_settings

    override_faktory(**keys)

    assert [message.id for message in check_settings()] == found


@pytest.mark.parametrize(
    ("queues", "words"),
    [
        ([], "must name at least one queue, got ()"),
        (["a b"], "a queue name is 1 to 100 characters of a-z, A-Z, 0-9, '.', '_' and '-'"),
        (["a,,b"], "got ''"),
        (["=3"], "got ''"),
    ],
)
def test_queues_that_no_worker_could_serve_are_an_error_of_the_check(
    override_faktory: Any, queues: list[str], words: str
) -> None:
    from faktory_django.checks import check_settings

    override_faktory(QUEUES=queues)

    (found,) = check_settings()
    assert found.id == "faktory_django.E001"
    assert words in found.msg


def test_queues_may_have_weights(override_faktory: Any) -> None:
    override_faktory(QUEUES=["critical=3,default", "bulk"])

    assert settings.get().queues == ("critical=3,default", "bulk")
