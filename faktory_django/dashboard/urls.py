"""URLs of the dashboard: path("faktory/", include("faktory_django.dashboard.urls"))."""

from django.urls import path, register_converter

from . import (
    acts,
    audit,
    batches,
    busy,
    cancelling,
    cron,
    errors,
    finished,
    job,
    job_edit,
    language,
    locks,
    operation,
    overview,
    queue,
    queues,
    sets,
    stats,
    storage,
    throttles,
    types,
)
from .converters import AnyText

register_converter(AnyText, "text")

app_name = "faktory"
urlpatterns = [
    path("", overview.overview, name="overview"),
    path("busy/", busy.busy, name="busy"),
    path("queues/", queues.queue_list, name="queues"),
    path("queues/<text:name>/", queue.queue, name="queue"),
    path("scheduled/", sets.scheduled, name="scheduled"),
    path("retries/", sets.retries, name="retries"),
    path("dead/", sets.dead, name="dead"),
    path("finished/", finished.finished, name="finished"),
    path("errors/", errors.errors, name="errors"),
    path("act/", acts.act, name="act"),
    path("operations/<int:key>/", operation.operation, name="operation"),
    path("audit/", audit.audit, name="audit"),
    path("stats", stats.stats, name="stats"),
    path("health", stats.health, name="health"),
    path("language/", language.language, name="language"),
    path("jobs/<text:jid>/", job.job, name="job"),
    path("jobs/<text:jid>/copy/", job_edit.job_edit, name="job_edit"),
    path("jobs/<text:jid>/cancel/", cancelling.cancel, name="cancel"),
    path("batches/", batches.batches, name="batches"),
    path("batches/<text:bid>/", batches.batch, name="batch"),
    path("cron/", cron.cron, name="cron"),
    path("locks/", locks.locks, name="locks"),
    path("throttles/", throttles.throttle_list, name="throttles"),
    path("storage/", storage.storage, name="storage"),
    path("types/", types.types, name="types"),
    path("types/<text:jobtype>/", types.type_page, name="type"),
]
