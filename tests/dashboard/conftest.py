"""People with permissions, and a busy day to look at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.test import Client

from faktory_django.models import AuditEntry

from . import world

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def person(db: None) -> Callable[..., Client]:
    """Return a function that signs somebody in who may do what is named."""
    del db

    def sign_in(*permissions: str, staff: bool = True, superuser: bool = False) -> Client:
        users = get_user_model().objects
        user = users.create_user(f"person{users.count()}", is_staff=staff, is_superuser=superuser)
        user.user_permissions.add(
            *Permission.objects.filter(
                content_type__app_label="faktory_django", codename__in=permissions
            )
        )
        client = Client()
        client.force_login(user)
        return client

    return sign_in


@pytest.fixture
def viewer(person: Callable[..., Client]) -> Client:
    """Return somebody who may look, but not at arguments, and do nothing."""
    return person("view_job")


@pytest.fixture
def chief(person: Callable[..., Client]) -> Client:
    """Return a superuser."""
    return person(superuser=True)


@pytest.fixture
def busy(db: None) -> world.World:
    """Return a database with jobs in every place, workers and months of history."""
    del db
    return world.build()


@pytest.fixture
def blank_record(busy: world.World) -> None:
    """Forget what people have done on the busy day."""
    del busy
    AuditEntry.objects.all().delete()
