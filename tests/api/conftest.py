"""What a test registers is forgotten after it."""

from tests.unit.conftest import _registry_as_found  # noqa: F401 - a fixture
