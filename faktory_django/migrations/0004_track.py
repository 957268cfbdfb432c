from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("faktory_django", "0003_cron"),
    ]

    operations = [
        migrations.CreateModel(
            name="Track",
            fields=[
                (
                    "jid",
                    models.TextField(
                        db_collation="C",
                        help_text="the jid of the job, or jobs",
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                (
                    "percent",
                    models.SmallIntegerField(
                        help_text="0 to 100; empty until it is said", null=True
                    ),
                ),
                (
                    "description",
                    models.TextField(help_text="what it is doing, in its own words", null=True),
                ),
                ("updated_at", models.DateTimeField(help_text="when it was last said")),
                (
                    "end",
                    models.TextField(
                        db_collation="C",
                        db_default="",
                        help_text="how the job ended when that was not success: failed, discarded or expired",
                    ),
                ),
                (
                    "ended_at",
                    models.DateTimeField(
                        help_text="when it was seen that the job had ended; empty until then",
                        null=True,
                    ),
                ),
            ],
            options={
                "verbose_name": "progress",
                "verbose_name_plural": "progress",
                "default_permissions": (),
            },
        ),
    ]
