"""The site: a form that pushes jobs, what they fetched, and the admin."""

from django.contrib import admin
from django.urls import path

from example_project.pages import views

urlpatterns = [
    path("", views.index, name="index"),
    path("hello/", views.hello, name="hello"),
    path("admin/", admin.site.urls),
]
