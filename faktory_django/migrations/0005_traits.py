from django.db import migrations, models

MODELS = ("job", "scheduledjob", "retryjob", "deadjob")


class Migration(migrations.Migration):
    dependencies = [
        ("faktory_django", "0004_track"),
    ]

    operations = [
        migrations.AddField(
            model_name=model,
            name="traits",
            field=models.JSONField(
                help_text="what features have to know of it; empty for a plain job", null=True
            ),
        )
        for model in MODELS
    ]
