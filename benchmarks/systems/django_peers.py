"""Settings of the systems that are Django apps; BENCHMARK_APPS says which."""

import os

SECRET_KEY = "only for benchmarks"
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    *os.environ["BENCHMARK_APPS"].split(","),
]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": os.environ["PGDATABASE"],
        "USER": os.environ["PGUSER"],
        "HOST": os.environ["PGHOST"],
        "PORT": os.environ["PGPORT"],
        "PASSWORD": os.environ.get("PGPASSWORD", ""),
        "CONN_MAX_AGE": None,
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
DEBUG = False
PROCRASTINATE_ON_APP_READY = "benchmarks.systems.procrastinate.on_ready"
TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}
