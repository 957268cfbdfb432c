"""What a test registers is forgotten after it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from faktory_django import registry

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _registry_as_found() -> Iterator[None]:
    before = dict(registry._definitions)
    yield
    registry._definitions.clear()
    registry._definitions.update(before)
