"""The tables, and what the installer adds to them."""

from typing import Any

import django.db.models.functions.datetime
from django.apps import apps
from django.db import migrations, models

import faktory_django.models.fields


def install(_historical: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor == "postgresql":
        config: Any = apps.get_app_config("faktory_django")
        config.install(schema_editor.connection)


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="CounterDelta",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                (
                    "starts_at",
                    models.DateTimeField(help_text="the start of the span, UTC"),
                ),
                ("queue", models.TextField(db_collation="C", help_text="the queue")),
                ("jobtype", models.TextField(db_collation="C", help_text="the jobtype")),
                ("pushed", models.BigIntegerField(db_default=0, help_text="jobs pushed")),
                ("done", models.BigIntegerField(db_default=0, help_text="runs that succeeded")),
                ("failed", models.BigIntegerField(db_default=0, help_text="runs that failed")),
                (
                    "discarded",
                    models.BigIntegerField(db_default=0, help_text="jobs thrown away unrun"),
                ),
                (
                    "reaped",
                    models.BigIntegerField(db_default=0, help_text="jobs taken back from the dead"),
                ),
                (
                    "waits",
                    faktory_django.models.fields.IntegerArrayField(
                        help_text="histogram of seconds from ready to start", null=True
                    ),
                ),
                (
                    "runs",
                    faktory_django.models.fields.IntegerArrayField(
                        help_text="histogram of seconds from start to end", null=True
                    ),
                ),
            ],
            options={
                "verbose_name": "counter delta",
                "verbose_name_plural": "counter deltas",
            },
        ),
        migrations.CreateModel(
            name="Job",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("queue", models.TextField(db_collation="C", help_text="the queue it belongs to")),
                (
                    "priority",
                    models.SmallIntegerField(
                        db_default=0, help_text="-100 to 100, higher first inside its queue"
                    ),
                ),
                (
                    "jid",
                    models.TextField(
                        db_collation="C", help_text="the id its producer gave it; not unique"
                    ),
                ),
                (
                    "jobtype",
                    models.TextField(
                        db_collation="C", help_text="the name workers find its function by"
                    ),
                ),
                ("reserve_for", models.IntegerField(help_text="seconds that one run may take")),
                (
                    "body",
                    models.TextField(help_text="the job as canonical JSON, written once at push"),
                ),
                (
                    "failure",
                    models.TextField(
                        help_text="the latest failure as JSON (protocol section 5.2)", null=True
                    ),
                ),
                ("enqueued_at", models.DateTimeField(help_text="when it entered its queue")),
                (
                    "crashes",
                    models.SmallIntegerField(
                        db_default=0, help_text="how often the process that ran it died"
                    ),
                ),
            ],
            options={
                "verbose_name": "job",
                "verbose_name_plural": "jobs",
                "ordering": ["id"],
                "permissions": [
                    (
                        "act_on_job",
                        "Can retry, kill, discard and requeue jobs, pause and resume queues",
                    ),
                    ("view_job_args", "Can see the arguments of jobs"),
                ],
                "indexes": [models.Index(fields=["jid"], name="faktory_job_jid")],
            },
        ),
        migrations.CreateModel(
            name="Process",
            fields=[
                (
                    "wid",
                    models.TextField(
                        db_collation="C",
                        help_text="a random id for this life of the process",
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                (
                    "kind",
                    models.TextField(
                        choices=[
                            ("python", "Python worker"),
                            ("wire", "worker on the wire"),
                            ("server", "wire server"),
                        ],
                        db_default="python",
                        help_text="a Python worker, a worker on the wire, or a wire server",
                    ),
                ),
                ("hostname", models.TextField(help_text="the host it runs on")),
                ("pid", models.IntegerField(help_text="its process id on that host")),
                (
                    "labels",
                    faktory_django.models.fields.TextArrayField(help_text="what it says of itself"),
                ),
                (
                    "queues",
                    faktory_django.models.fields.TextArrayField(
                        help_text="the queues it works on, in order"
                    ),
                ),
                ("version", models.TextField(help_text="of this package, or of a wire client")),
                ("concurrency", models.IntegerField(help_text="how many jobs it runs at a time")),
                (
                    "state",
                    models.TextField(
                        choices=[
                            ("running", "running"),
                            ("quiet", "quiet"),
                            ("terminate", "terminate"),
                        ],
                        help_text="running, quiet or terminate",
                    ),
                ),
                ("started_at", models.DateTimeField(help_text="when it started")),
                ("beat_at", models.DateTimeField(help_text="when it was last heard of")),
                (
                    "connections",
                    models.IntegerField(
                        db_default=0,
                        help_text="open connections, of a worker on the wire or of a server",
                    ),
                ),
                (
                    "rss_kb",
                    models.BigIntegerField(db_default=0, help_text="resident memory in KiB"),
                ),
                (
                    "running",
                    models.TextField(
                        db_default="[]",
                        help_text="JSON: [job id, start in Unix seconds] of each busy slot",
                    ),
                ),
            ],
            options={
                "verbose_name": "process",
                "verbose_name_plural": "processes",
                "ordering": ["started_at", "wid"],
            },
        ),
        migrations.CreateModel(
            name="Queue",
            fields=[
                (
                    "name",
                    models.TextField(
                        db_collation="C",
                        help_text="what jobs and workers call it",
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                (
                    "paused",
                    models.BooleanField(
                        db_default=False,
                        help_text="workers take no jobs from a paused queue; pushes go on",
                    ),
                ),
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(),
                        help_text="when it became known",
                    ),
                ),
            ],
            options={
                "verbose_name": "queue",
                "verbose_name_plural": "queues",
                "ordering": ["name"],
            },
        ),
        migrations.CreateModel(
            name="Ready",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "queue",
                        "rank",
                        "pos",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("queue", models.TextField(db_collation="C", help_text="the queue")),
                (
                    "rank",
                    models.SmallIntegerField(
                        help_text="twice the priority, plus one for a job that has waited its turn already"
                    ),
                ),
                (
                    "pos",
                    models.BigIntegerField(
                        help_text="the job's id at push, a fresh number of its sequence at every return"
                    ),
                ),
                ("job_id", models.BigIntegerField(help_text="the job")),
            ],
            options={
                "verbose_name": "ready entry",
                "verbose_name_plural": "ready entries",
            },
        ),
        migrations.CreateModel(
            name="Waiter",
            fields=[
                (
                    "wid",
                    models.TextField(
                        db_collation="C", help_text="the process", primary_key=True, serialize=False
                    ),
                ),
                (
                    "queues",
                    faktory_django.models.fields.TextArrayField(
                        help_text="the queues it would take jobs from"
                    ),
                ),
            ],
            options={
                "verbose_name": "waiter",
                "verbose_name_plural": "waiters",
            },
        ),
        migrations.CreateModel(
            name="Counter",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                (
                    "starts_at",
                    models.DateTimeField(help_text="the start of the span, UTC"),
                ),
                ("queue", models.TextField(db_collation="C", help_text="the queue")),
                ("jobtype", models.TextField(db_collation="C", help_text="the jobtype")),
                ("pushed", models.BigIntegerField(db_default=0, help_text="jobs pushed")),
                ("done", models.BigIntegerField(db_default=0, help_text="runs that succeeded")),
                ("failed", models.BigIntegerField(db_default=0, help_text="runs that failed")),
                (
                    "discarded",
                    models.BigIntegerField(db_default=0, help_text="jobs thrown away unrun"),
                ),
                (
                    "reaped",
                    models.BigIntegerField(db_default=0, help_text="jobs taken back from the dead"),
                ),
                (
                    "waits",
                    faktory_django.models.fields.IntegerArrayField(
                        help_text="histogram of seconds from ready to start", null=True
                    ),
                ),
                (
                    "runs",
                    faktory_django.models.fields.IntegerArrayField(
                        help_text="histogram of seconds from start to end", null=True
                    ),
                ),
                (
                    "resolution",
                    models.IntegerField(
                        choices=[(60, "minute"), (3600, "hour"), (86400, "day")],
                        help_text="span in seconds",
                    ),
                ),
            ],
            options={
                "verbose_name": "counter",
                "verbose_name_plural": "counters",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("resolution", "starts_at", "queue", "jobtype"),
                        name="faktory_counter_span",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="DeadJob",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("queue", models.TextField(db_collation="C", help_text="the queue it belongs to")),
                (
                    "priority",
                    models.SmallIntegerField(
                        db_default=0, help_text="-100 to 100, higher first inside its queue"
                    ),
                ),
                (
                    "jid",
                    models.TextField(
                        db_collation="C", help_text="the id its producer gave it; not unique"
                    ),
                ),
                (
                    "jobtype",
                    models.TextField(
                        db_collation="C", help_text="the name workers find its function by"
                    ),
                ),
                ("reserve_for", models.IntegerField(help_text="seconds that one run may take")),
                (
                    "body",
                    models.TextField(help_text="the job as canonical JSON, written once at push"),
                ),
                (
                    "failure",
                    models.TextField(
                        help_text="the latest failure as JSON (protocol section 5.2)", null=True
                    ),
                ),
                ("died_at", models.DateTimeField(help_text="when it died")),
                (
                    "enqueued_at",
                    models.DateTimeField(help_text="when it last entered its queue", null=True),
                ),
            ],
            options={
                "verbose_name": "dead job",
                "verbose_name_plural": "dead jobs",
                "ordering": ["-died_at", "-id"],
                "indexes": [
                    models.Index(fields=["died_at", "id"], name="faktory_dead_died"),
                    models.Index(fields=["jid"], name="faktory_dead_jid"),
                ],
            },
        ),
        migrations.CreateModel(
            name="Lease",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                (
                    "wid",
                    models.TextField(
                        db_collation="C",
                        help_text="the process that holds it; empty for a client without one",
                    ),
                ),
                ("claimed_at", models.DateTimeField(help_text="when the batch was claimed")),
                (
                    "expires_at",
                    models.DateTimeField(
                        help_text="when it ends by itself; empty while its process beats", null=True
                    ),
                ),
                (
                    "ids",
                    faktory_django.models.fields.BigIntegerArrayField(
                        help_text="the jobs it names"
                    ),
                ),
                (
                    "jid",
                    models.TextField(
                        db_collation="C",
                        help_text="the jid of its only job, on the wire",
                        null=True,
                    ),
                ),
                (
                    "server",
                    models.TextField(
                        db_collation="C",
                        help_text="the wire server that claimed for the client",
                        null=True,
                    ),
                ),
            ],
            options={
                "verbose_name": "lease",
                "verbose_name_plural": "leases",
                "indexes": [
                    models.Index(
                        condition=models.Q(("jid", None), _negated=True),
                        fields=["jid", "id"],
                        name="faktory_lease_jid",
                    ),
                    models.Index(
                        condition=models.Q(("expires_at", None), _negated=True),
                        fields=["expires_at", "id"],
                        name="faktory_lease_expiry",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Level",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("queue", models.TextField(db_collation="C", help_text="the queue")),
                ("rank", models.SmallIntegerField(help_text="as in a ready entry")),
            ],
            options={
                "verbose_name": "level",
                "verbose_name_plural": "levels",
                "indexes": [models.Index(fields=["queue", "rank"], name="faktory_level_lane")],
            },
        ),
        migrations.CreateModel(
            name="RetryJob",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("queue", models.TextField(db_collation="C", help_text="the queue it belongs to")),
                (
                    "priority",
                    models.SmallIntegerField(
                        db_default=0, help_text="-100 to 100, higher first inside its queue"
                    ),
                ),
                (
                    "jid",
                    models.TextField(
                        db_collation="C", help_text="the id its producer gave it; not unique"
                    ),
                ),
                (
                    "jobtype",
                    models.TextField(
                        db_collation="C", help_text="the name workers find its function by"
                    ),
                ),
                ("reserve_for", models.IntegerField(help_text="seconds that one run may take")),
                (
                    "body",
                    models.TextField(help_text="the job as canonical JSON, written once at push"),
                ),
                (
                    "failure",
                    models.TextField(
                        help_text="the latest failure as JSON (protocol section 5.2)", null=True
                    ),
                ),
                ("due_at", models.DateTimeField(help_text="when its next attempt is due")),
                (
                    "enqueued_at",
                    models.DateTimeField(help_text="when it last entered its queue", null=True),
                ),
            ],
            options={
                "verbose_name": "retry",
                "verbose_name_plural": "retries",
                "ordering": ["due_at", "id"],
                "indexes": [
                    models.Index(fields=["due_at", "id"], name="faktory_retry_due"),
                    models.Index(fields=["jid"], name="faktory_retry_jid"),
                ],
            },
        ),
        migrations.CreateModel(
            name="ScheduledJob",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("queue", models.TextField(db_collation="C", help_text="the queue it belongs to")),
                (
                    "priority",
                    models.SmallIntegerField(
                        db_default=0, help_text="-100 to 100, higher first inside its queue"
                    ),
                ),
                (
                    "jid",
                    models.TextField(
                        db_collation="C", help_text="the id its producer gave it; not unique"
                    ),
                ),
                (
                    "jobtype",
                    models.TextField(
                        db_collation="C", help_text="the name workers find its function by"
                    ),
                ),
                ("reserve_for", models.IntegerField(help_text="seconds that one run may take")),
                (
                    "body",
                    models.TextField(help_text="the job as canonical JSON, written once at push"),
                ),
                (
                    "failure",
                    models.TextField(
                        help_text="the latest failure as JSON (protocol section 5.2)", null=True
                    ),
                ),
                ("due_at", models.DateTimeField(help_text="when it enters its queue")),
                (
                    "enqueued_at",
                    models.DateTimeField(help_text="when it last entered its queue", null=True),
                ),
            ],
            options={
                "verbose_name": "scheduled job",
                "verbose_name_plural": "scheduled jobs",
                "ordering": ["due_at", "id"],
                "indexes": [
                    models.Index(fields=["due_at", "id"], name="faktory_scheduled_due"),
                    models.Index(fields=["jid"], name="faktory_scheduled_jid"),
                ],
            },
        ),
        migrations.RunPython(install, migrations.RunPython.noop),
    ]
