"""URLs of the tests: the admin, and a page that pushes a job."""

from django.contrib import admin
from django.urls import path

from tests.jobapp import views

urlpatterns = [path("admin/", admin.site.urls), path("push/", views.push)]
