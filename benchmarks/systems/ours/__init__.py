"""faktory_django in a project of its own, with the settings of a new project."""
