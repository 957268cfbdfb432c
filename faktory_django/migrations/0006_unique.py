from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("faktory_django", "0005_traits"),
    ]

    operations = [
        migrations.CreateModel(
            name="UniqueLock",
            fields=[
                (
                    "key",
                    models.TextField(
                        db_collation="C",
                        help_text="a hash of what makes the job the same",
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                (
                    "jid",
                    models.TextField(
                        db_collation="C", help_text="the jid of the job that holds it"
                    ),
                ),
                (
                    "queue",
                    models.TextField(db_collation="C", help_text="the queue of that job"),
                ),
                (
                    "jobtype",
                    models.TextField(db_collation="C", help_text="the jobtype of that job"),
                ),
                (
                    "until",
                    models.TextField(
                        db_collation="C",
                        db_default="success",
                        help_text="what frees it: success, or start",
                    ),
                ),
                ("taken_at", models.DateTimeField(help_text="when the job was pushed")),
                (
                    "expires_at",
                    models.DateTimeField(help_text="when it ends, whatever became of the job"),
                ),
            ],
            options={
                "verbose_name": "unique lock",
                "verbose_name_plural": "unique locks",
                "ordering": ["expires_at", "key"],
                "default_permissions": (),
                "indexes": [
                    models.Index(fields=["expires_at", "key"], name="faktory_unique_expiry")
                ],
            },
        ),
    ]
