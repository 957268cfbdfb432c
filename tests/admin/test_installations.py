"""Projects of another kind: without the admin, and with the jobs in another database."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).parents[2]

WITHOUT_ADMIN = """
import sys, environ, django
from django.conf import settings
database = environ.Env().db("DATABASE_URL")
settings.configure(
    INSTALLED_APPS=["faktory_django"], USE_TZ=True, SECRET_KEY="x",
    DATABASES={"default": {**database, "OPTIONS": {
        **database.get("OPTIONS", {}), "options": "-c search_path=no_admin"}}},
)
django.setup()
from django.core.management import call_command
from django.db import connection
with connection.cursor() as cursor:
    cursor.execute("DROP SCHEMA IF EXISTS no_admin CASCADE")
    cursor.execute("CREATE SCHEMA no_admin")
call_command("check")
call_command("migrate", verbosity=0)
from faktory_django import job
from faktory_django.models import Job
@job
def hello(name): pass
hello.perform_async("world")
assert Job.objects.count() == 1
loaded = [n for n in sys.modules if n.startswith(("django.contrib.admin", "faktory_django.admin"))]
with connection.cursor() as cursor:
    cursor.execute("DROP SCHEMA no_admin CASCADE")
assert not loaded, loaded
"""

OTHER_DATABASE = """
import environ, django
from django.conf import settings
from tests import settings as ours
database = environ.Env().db("DATABASE_URL")
class Router:
    def db_for_read(self, model, **hints):
        return "default"
    db_for_write = db_for_read
    def allow_migrate(self, db, app_label, **hints):
        return (db == "jobs") == (app_label == "faktory_django")
settings.configure(
    INSTALLED_APPS=[a for a in ours.INSTALLED_APPS if "pages" not in a and "jobapp" not in a],
    MIDDLEWARE=ours.MIDDLEWARE, TEMPLATES=ours.TEMPLATES, ROOT_URLCONF="tests.urls",
    STATIC_URL="static/", USE_TZ=True, SECRET_KEY="x", ALLOWED_HOSTS=["testserver"],
    DATABASE_ROUTERS=[Router()], FAKTORY={"DATABASE": "jobs"},
    DATABASES={
        "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"},
        "jobs": {**database, "OPTIONS": {
            **database.get("OPTIONS", {}), "options": "-c search_path=other_database"}},
    },
)
django.setup()
from django.core.management import call_command
from django.db import connections
with connections["jobs"].cursor() as cursor:
    cursor.execute("DROP SCHEMA IF EXISTS other_database CASCADE")
    cursor.execute("CREATE SCHEMA other_database")
call_command("migrate", verbosity=0)
call_command("migrate", database="jobs", verbosity=0)
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.test import Client
from faktory_django.lifecycle import queues
from faktory_django.lifecycle.push import Push, push
from faktory_django.models import DeadJob, Job, Queue
queues.declare(["default"])
push([Push("default", "abc", "fetch", '{"jid":"abc","jobtype":"fetch","args":[1]}')])
job = Job.objects.using("jobs").get()
client = Client()
client.force_login(User.objects.create_superuser("chief"))
def post(model, name, key):
    url = f"/admin/faktory_django/{model}/"
    data = {"action": name, "_selected_action": key, "index": 0, "confirmed": "yes"}
    return client.post(url, data, follow=True)
for model in ("scheduledjob", "retryjob", "deadjob", "process", "counter", "queue", "job"):
    assert client.get(f"/admin/faktory_django/{model}/").status_code == 200, model
for query in ("?queue=default", "?jobtype=fetch", "?state=waiting", "?q=abc"):
    assert b"abc" in client.get(f"/admin/faktory_django/job/{query}").content, query
assert client.get(f"/admin/faktory_django/job/{job.pk}/change/").status_code == 200
post("queue", "pause", "default")
assert Queue.objects.using("jobs").get().paused
post("job", "kill", job.pk)
dead = DeadJob.objects.using("jobs").get()
post("deadjob", "discard", dead.pk)
assert not DeadJob.objects.using("jobs").exists()
assert LogEntry.objects.count() == 3
with connections["jobs"].cursor() as cursor:
    cursor.execute("DROP SCHEMA other_database CASCADE")
"""


def run(program: str) -> None:
    """Run a program in a process of its own, warnings being errors."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_project_without_the_admin_pushes_and_never_loads_ours() -> None:
    run(WITHOUT_ADMIN)


def test_the_admin_reads_and_acts_in_the_database_of_the_jobs() -> None:
    run(OTHER_DATABASE)
