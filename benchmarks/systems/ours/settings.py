"""A project with nothing but jobs, as `startproject` and the tutorial would make it."""

import environ

SECRET_KEY = "only for benchmarks"
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "faktory_django",
    "benchmarks.systems.ours",
]
DATABASES = {"default": environ.Env().db("DATABASE_URL")}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
DEBUG = False
FAKTORY = environ.Env().json("BENCHMARK_FAKTORY", default={})
