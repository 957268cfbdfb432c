"""The app of the example."""

from django.apps import AppConfig


class PagesConfig(AppConfig):
    """Pages fetched in the background."""

    name = "example_project.pages"
