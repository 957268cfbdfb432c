"""The site: a form that pushes jobs, what they fetched, the admin, and the dashboard."""

from django.contrib import admin
from django.urls import include, path

from example_project.pages import views

urlpatterns = [
    path("", views.index, name="index"),
    path("hello/", views.hello, name="hello"),
    path("admin/", admin.site.urls),
    path("faktory/", include("faktory_django.dashboard.urls")),
]
