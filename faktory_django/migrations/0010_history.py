"""What is kept of jobs that have ended; the installer makes partitions of the tables."""

from typing import Any

from django.apps import apps
from django.db import migrations, models


def install(_historical: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor == "postgresql":
        config: Any = apps.get_app_config("faktory_django")
        config.install(schema_editor.connection)


class Migration(migrations.Migration):
    dependencies = [
        ("faktory_django", "0009_fairness"),
    ]

    operations = [
        migrations.CreateModel(
            name="Attempt",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                (
                    "bucket",
                    models.IntegerField(
                        help_text="the day (20270131) or month (202701) with which it is dropped"
                    ),
                ),
                ("jid", models.TextField(db_collation="C", help_text="the jid of the job")),
                (
                    "jobtype",
                    models.TextField(
                        db_collation="C", help_text="the name workers find its function by"
                    ),
                ),
                ("queue", models.TextField(db_collation="C", help_text="the queue it belonged to")),
                ("at", models.DateTimeField(help_text="when it failed")),
                ("number", models.IntegerField(help_text="which run of the job it was, from 1")),
                (
                    "fate",
                    models.TextField(
                        db_collation="C",
                        help_text="what became of the job, crash: it went back",
                    ),
                ),
                ("errtype", models.TextField(help_text="the class of the error")),
                ("message", models.TextField(help_text="its message")),
                ("backtrace", models.TextField(db_default="", help_text="its traceback")),
                ("started_at", models.DateTimeField(help_text="when the run began", null=True)),
                ("run_seconds", models.FloatField(help_text="how long it took", null=True)),
                (
                    "wid",
                    models.TextField(
                        db_collation="C", db_default="", help_text="the worker that ran it"
                    ),
                ),
            ],
            options={
                "verbose_name": "failed attempt",
                "verbose_name_plural": "failed attempts",
                "default_permissions": (),
                "indexes": [models.Index(fields=["jid"], name="faktory_attempt_jid")],
            },
        ),
        migrations.CreateModel(
            name="FinishedJob",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                (
                    "bucket",
                    models.IntegerField(
                        help_text="the day (20270131) or month (202701) with which it is dropped"
                    ),
                ),
                ("jid", models.TextField(db_collation="C", help_text="the jid of the job")),
                (
                    "jobtype",
                    models.TextField(
                        db_collation="C", help_text="the name workers find its function by"
                    ),
                ),
                ("queue", models.TextField(db_collation="C", help_text="the queue it belonged to")),
                (
                    "outcome",
                    models.TextField(
                        db_collation="C",
                        help_text="done, failed, dead, discarded, expired or cancelled",
                    ),
                ),
                (
                    "pushed",
                    models.TextField(
                        help_text="when it was pushed, as its producer says", null=True
                    ),
                ),
                (
                    "enqueued_at",
                    models.DateTimeField(help_text="when it last entered its queue", null=True),
                ),
                (
                    "started_at",
                    models.DateTimeField(help_text="when its last run began", null=True),
                ),
                ("finished_at", models.DateTimeField(help_text="when it ended")),
                (
                    "run_seconds",
                    models.FloatField(help_text="how long its last run took", null=True),
                ),
                ("attempts", models.IntegerField(help_text="how many runs it had")),
                (
                    "wid",
                    models.TextField(
                        db_collation="C", db_default="", help_text="the worker that ran it last"
                    ),
                ),
                (
                    "body",
                    models.TextField(
                        help_text="the job as it was pushed, if that is kept", null=True
                    ),
                ),
                (
                    "failure",
                    models.TextField(help_text="the error that ended it, as JSON", null=True),
                ),
                (
                    "result",
                    models.TextField(
                        help_text="what it returned, as JSON, if that is kept", null=True
                    ),
                ),
                (
                    "mark",
                    models.TextField(
                        help_text="kinds of the result, or that it is encrypted", null=True
                    ),
                ),
                ("remark", models.TextField(db_default="", help_text="why there is no result")),
            ],
            options={
                "verbose_name": "finished job",
                "verbose_name_plural": "finished jobs",
                "ordering": ["-finished_at", "-id"],
                "default_permissions": ("view",),
                "indexes": [
                    models.Index(fields=["finished_at", "id"], name="faktory_finished_at"),
                    models.Index(fields=["jid"], name="faktory_finished_jid"),
                ],
            },
        ),
        migrations.CreateModel(
            name="LogLine",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                (
                    "bucket",
                    models.IntegerField(
                        help_text="the day (20270131) or month (202701) with which it is dropped"
                    ),
                ),
                ("jid", models.TextField(db_collation="C", help_text="the jid of the job")),
                (
                    "jobtype",
                    models.TextField(
                        db_collation="C", help_text="the name workers find its function by"
                    ),
                ),
                ("queue", models.TextField(db_collation="C", help_text="the queue it belonged to")),
                ("at", models.DateTimeField(help_text="when it was said")),
                ("number", models.IntegerField(help_text="which run of the job said it, from 1")),
                ("text", models.TextField(help_text="the line")),
            ],
            options={
                "verbose_name": "log line of a job",
                "verbose_name_plural": "log lines of jobs",
                "default_permissions": (),
                "indexes": [models.Index(fields=["jid"], name="faktory_logline_jid")],
            },
        ),
        migrations.RunPython(install, migrations.RunPython.noop),
    ]
