"""Overview: is everything all right?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from django.test import Client

pytestmark = pytest.mark.django_db


def test_the_overview_is_there(chief: Client) -> None:
    response = chief.get("/faktory/")

    assert response.status_code == 200
