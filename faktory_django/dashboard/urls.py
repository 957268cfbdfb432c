"""URLs of the dashboard: path("faktory/", include("faktory_django.dashboard.urls"))."""

from django.urls import path

from . import language, overview

app_name = "faktory"
urlpatterns = [
    path("", overview.overview, name="overview"),
    path("language/", language.language, name="language"),
]
