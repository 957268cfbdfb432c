"""What FAKTORY["THROTTLES"] may say."""

from __future__ import annotations

from typing import Any

import pytest

from faktory_django import settings
from faktory_django.errors import InvalidOption
from faktory_django.throttling import Limits


def test_throttles_are_read_by_queue(override_faktory: Any) -> None:
    override_faktory(
        THROTTLES={"scrape": {"concurrency": 3, "timeout": 90}, "imports": {"worker": 2}}
    )

    assert settings.get().throttles == {
        "scrape": Limits(3, None, 90.0),
        "imports": Limits(None, 2, None),
    }


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ([], "FAKTORY['THROTTLES'] must be dicts by queue, got []"),
        ({"a b": {}}, "FAKTORY['THROTTLES']: a queue name is 1 to 100 characters"),
        ({"a": 3}, "FAKTORY['THROTTLES']['a'] must be a dict of concurrency, worker, timeout"),
        ({"a": {"max": 3}}, "FAKTORY['THROTTLES']['a'] has no key 'max'; it knows concurrency"),
        ({"a": {"timeout": 3}}, "FAKTORY['THROTTLES']['a'] needs concurrency or worker"),
        ({"a": {"worker": "2"}}, "worker must be an int from 1 to 100000, got '2'"),
        ({"a": {"concurrency": True}}, "concurrency must be an int from 1 to 100000, got True"),
        ({"a": {"worker": 1, "timeout": "9"}}, "timeout must be more than 0 and at most 604800"),
        ({"a": {"worker": 1, "timeout": True}}, "at most 604800 seconds, got True"),
    ],
)
def test_a_wrong_throttle_is_refused_with_its_value(
    override_faktory: Any, said: Any, message: str
) -> None:
    override_faktory(THROTTLES=said)

    with pytest.raises(InvalidOption) as caught:
        settings.get()

    assert message in str(caught.value)
