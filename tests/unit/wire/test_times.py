"""The time of a scheduled job: RFC 3339 as the protocol has it, and nothing else."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from faktory_django.wire.jobs import instant

from .test_jobs import read, refusal, text

SECOND = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("2030-01-02T03:04:05Z", SECOND),
        ("2030-01-02T03:04:05+00:00", SECOND),
        ("2030-01-02T03:04:05-00:00", SECOND),
        ("2030-01-02T05:34:05+02:30", SECOND),
        ("2030-01-01T22:04:05-05:00", SECOND),
        ("2030-01-03T03:03:05+23:59", SECOND),
        ("2030-01-02T03:04:05.0Z", SECOND),
        ("2030-01-02T03:04:05.000000000000Z", SECOND),
        ("2030-01-02T03:04:05,5Z", SECOND.replace(microsecond=500_000)),
        ("2030-01-02T03:04:05.5Z", SECOND.replace(microsecond=500_000)),
        ("2030-01-02T03:04:05.123456Z", SECOND.replace(microsecond=123_456)),
        ("2030-01-02T03:04:05.1234560Z", SECOND.replace(microsecond=123_456)),
        ("2030-01-02T03:04:05.1234561Z", SECOND.replace(microsecond=123_457)),
        ("2030-01-02T03:04:05.123456000001Z", SECOND.replace(microsecond=123_457)),
        ("2030-01-02T03:04:05.000000001Z", SECOND.replace(microsecond=1)),
        ("2030-01-02T03:04:05.9999999Z", SECOND.replace(second=6)),
        ("2028-02-29T00:00:00Z", datetime(2028, 2, 29, tzinfo=UTC)),
        ("0000-02-29T00:00:00Z", datetime.min.replace(tzinfo=UTC)),
        ("0000-12-31T23:59:59Z", datetime.min.replace(tzinfo=UTC)),
        ("0001-01-01T00:00:00Z", datetime.min.replace(tzinfo=UTC)),
        ("0001-01-01T00:00:00+01:00", datetime.min.replace(tzinfo=UTC)),
        ("9999-12-31T23:59:59.999999Z", datetime.max.replace(tzinfo=UTC)),
        ("9999-12-31T23:59:59.9999999Z", datetime.max.replace(tzinfo=UTC)),
        ("9999-12-31T23:59:59-01:00", datetime.max.replace(tzinfo=UTC)),
    ],
)
def test_a_time_is_read_exactly_and_never_early(written: str, expected: datetime) -> None:
    assert instant(written) == expected
    job = read(text(at=written))
    assert job.at == expected
    assert json.loads(job.body)["at"] == written


@pytest.mark.parametrize(
    "written",
    [
        " ",
        "now",
        "1900000000",
        "2030-01-02",
        "2030-01-02T03:04Z",
        "2030-01-02T03:04:05",
        "2030-01-02 03:04:05Z",
        "2030-01-02t03:04:05Z",
        "2030-01-02T03:04:05z",
        " 2030-01-02T03:04:05Z",
        "2030-01-02T03:04:05Z ",
        "2030-01-02T03:04:05Z\n",
        "2030-01-02T03:04:05.Z",
        "2030-01-02T03:04:05+0000",
        "2030-01-02T03:04:05+00",
        "2030-01-02T03:04:05+24:00",
        "2030-01-02T03:04:05+00:60",
        "2030-01-02T03:04:60Z",
        "2030-01-02T24:00:00Z",
        "2030-13-01T00:00:00Z",
        "2030-00-01T00:00:00Z",
        "2030-02-29T00:00:00Z",
        "0000-02-30T00:00:00Z",
        "12030-01-02T03:04:05Z",
        "-030-01-02T03:04:05Z",
        "٢٠٣٠-01-02T03:04:05Z",
        "2030-01-02T03:04:05" + "." + "9" * 300,
    ],
)
def test_a_time_in_another_form_is_refused(written: str) -> None:
    shown = json.dumps(written[:100], ensure_ascii=False)[:-1]

    assert refusal(text(at=written)).startswith(f"invalid timestamp for 'at': {shown}")
