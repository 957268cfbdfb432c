"""URLs of the tests: the admin, the dashboard, and a page that pushes a job."""

from django.contrib import admin
from django.urls import include, path

from tests.jobapp import views

urlpatterns = [
    path("admin/", admin.site.urls),
    path("faktory/", include("faktory_django.dashboard.urls")),
    path("push/", views.push),
]
