"""The jobs of the benchmarks."""

from django.contrib.contenttypes.models import ContentType

from benchmarks.harness.proof import mark
from benchmarks.systems.common import BODIES
from faktory_django import job

JOBS = {name: job(name=name)(body) for name, body in BODIES.items()}
JOBS["fresh"] = JOBS["noop"].set(queue="fresh")


@job(name="async_query")
async def async_query(number: int, _text: str) -> None:
    """Ask the ORM one thing."""
    await ContentType.objects.afirst()
    mark(number)


JOBS["async_query"] = async_query
