"""URLs of the dashboard: path("faktory/", include("faktory_django.dashboard.urls"))."""

from django.urls import path, register_converter

from . import busy, job, language, overview, queues, stats, types
from .converters import AnyText

register_converter(AnyText, "text")

app_name = "faktory"
urlpatterns = [
    path("", overview.overview, name="overview"),
    path("busy/", busy.busy, name="busy"),
    path("queues/", queues.queue_list, name="queues"),
    path("stats", stats.stats, name="stats"),
    path("health", stats.health, name="health"),
    path("language/", language.language, name="language"),
    path("jobs/<text:jid>/", job.job, name="job"),
    path("types/", types.types, name="types"),
    path("types/<text:jobtype>/", types.type_page, name="type"),
]
