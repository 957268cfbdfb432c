from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("faktory_django", "0008_limits"),
    ]

    operations = [
        migrations.AddField(
            model_name="ready",
            name="fair_key",
            field=models.TextField(
                db_collation="C",
                help_text="whose turn it is, of a job that has a fairness key",
                null=True,
            ),
        ),
        migrations.AlterField(
            model_name="ready",
            name="pos",
            field=models.BigIntegerField(
                help_text="the job's id at push, a fresh number of its sequence at every return; a virtual time in the lane of jobs that have a fairness key"
            ),
        ),
        migrations.AddIndex(
            model_name="ready",
            index=models.Index(
                condition=models.Q(("fair_key", None), _negated=True),
                fields=["queue", "fair_key", "pos"],
                name="faktory_ready_fair",
            ),
        ),
        migrations.AddIndex(
            model_name="ready",
            index=models.Index(
                condition=models.Q(("fair_key", None), _negated=True),
                fields=["queue", "job_id"],
                name="faktory_ready_fair_job",
            ),
        ),
    ]
