"""`manage.py faktory_cancel`: what became of each jid."""

from __future__ import annotations

import io

import pytest
from django.core.management import CommandError, call_command

from faktory_django import job
from faktory_django.models import Job

pytestmark = pytest.mark.django_db


def test_it_says_of_each_jid_what_became_of_it() -> None:
    @job
    def work() -> None: ...

    handle = work.perform_async()
    out = io.StringIO()

    call_command("faktory_cancel", handle.jid, "never-was", kill_after=5.0, stdout=out)

    assert out.getvalue() == f"{handle.jid}: cancelled\nnever-was: not found\n"
    assert not Job.objects.exists()


def test_a_wrong_value_is_an_error_that_names_the_limit() -> None:
    with pytest.raises(CommandError, match="kill_after must be 0 to 86400 seconds"):
        call_command("faktory_cancel", "a-jid", kill_after=-1.0)
