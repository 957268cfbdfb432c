from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("faktory_django", "0010_history"),
    ]

    operations = [
        migrations.CreateModel(
            name="Cancel",
            fields=[
                (
                    "job_id",
                    models.BigIntegerField(help_text="the job", primary_key=True, serialize=False),
                ),
                ("jid", models.TextField(db_collation="C", help_text="its jid")),
                (
                    "wid",
                    models.TextField(
                        db_collation="C",
                        help_text="the process that holds it; empty for a client without one",
                    ),
                ),
                ("enqueued_at", models.DateTimeField(help_text="when the job entered its queue")),
                ("asked_at", models.DateTimeField(help_text="when it was first asked to stop")),
                (
                    "asked_by",
                    models.TextField(help_text="who asked first; empty for code that does not say"),
                ),
                (
                    "kill_at",
                    models.DateTimeField(
                        help_text="when it is ended by force; empty: it ends by itself", null=True
                    ),
                ),
            ],
            options={
                "verbose_name": "request to cancel",
                "verbose_name_plural": "requests to cancel",
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="Cursor",
            fields=[
                (
                    "jid",
                    models.TextField(
                        db_collation="C",
                        help_text="the jid of the job",
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                (
                    "jobtype",
                    models.TextField(
                        db_collation="C",
                        help_text="its jobtype; with created it tells jobs of one jid apart",
                    ),
                ),
                (
                    "created",
                    models.TextField(
                        db_collation="C", help_text="when it was pushed, as its payload says"
                    ),
                ),
                (
                    "cursor",
                    models.TextField(
                        help_text="JSON: a list of the value that the job yielded last, or of one token"
                    ),
                ),
                (
                    "kinds",
                    models.TextField(
                        help_text="JSON: which values are no plain JSON; empty for none", null=True
                    ),
                ),
                ("sealed", models.BooleanField(help_text="whether the value is encrypted")),
                (
                    "items",
                    models.BigIntegerField(help_text="how often it has yielded, in all its runs"),
                ),
                ("saved_at", models.DateTimeField(help_text="when it was written")),
            ],
            options={
                "verbose_name": "checkpoint",
                "verbose_name_plural": "checkpoints",
                "default_permissions": (),
            },
        ),
    ]
