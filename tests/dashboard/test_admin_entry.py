"""The dashboard is one entry in the admin's index, for those who may look."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING

import pytest
from django.contrib import admin
from django.urls import path

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from django.test import Client

pytestmark = pytest.mark.django_db
ENTRY = "/admin/faktory_django/dashboard/"


def test_the_index_of_the_admin_leads_to_the_dashboard(viewer: Client) -> None:
    index = viewer.get("/admin/").content.decode()
    response = viewer.get(ENTRY)

    assert ENTRY in index
    assert response.headers["Location"] == "/faktory/"


def test_who_may_not_look_at_jobs_sees_no_entry(person: Callable[..., Client]) -> None:
    index = person("view_process").get("/admin/").content.decode()

    assert ENTRY not in index


def test_a_project_without_the_pages_has_no_entry(chief: Client, settings: Any) -> None:
    settings.ROOT_URLCONF = _urls(path("admin/", admin.site.urls))

    index = chief.get("/admin/").content.decode()
    response = chief.get(ENTRY)

    assert ENTRY not in index
    assert response.headers["Location"] == "/admin/"


def _urls(*patterns: Any) -> ModuleType:
    module = ModuleType("urls_of_a_test")
    vars(module)["urlpatterns"] = list(patterns)
    return module
