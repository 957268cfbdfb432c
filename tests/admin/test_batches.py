"""The admin's list of batches, and the page of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.db import connection

from faktory_django.lifecycle import batch
from faktory_django.models import Batch
from tests.integration.lifecycle.batches import join, make, run

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.test import Client

pytestmark = pytest.mark.django_db
LIST = "/admin/faktory_django/batch/"


@pytest.fixture
def looker(person: Callable[..., Client]) -> Client:
    return person("view_batch")


def test_batches_are_listed(looker: Client) -> None:
    make("success", description="Import of orders")
    join("job-00001", "job-00002")
    batch.commit(connection, "b-1")
    run("b-1", wanted=1)

    text = looker.get(LIST).content.decode()

    assert "Import of orders" in text
    assert '<td class="field-jobs">2</td>' in text
    assert '<td class="field-pending">1</td>' in text
    assert '<td class="field-come_to">running</td>' in text


def test_the_page_of_one_is_read_only(looker: Client) -> None:
    make("success", description="Import of orders")

    text = looker.get(f"{LIST}{Batch.objects.get().pk}/change/").content.decode()

    assert "Import of orders" in text
    assert 'name="_save"' not in text
    assert looker.get(f"{LIST}add/").status_code == 403


def test_who_may_not_look_does_not(person: Callable[..., Client]) -> None:
    assert person("view_job").get(LIST).status_code == 403
