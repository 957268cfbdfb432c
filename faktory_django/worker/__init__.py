"""Runs Python jobs: a small parent supervises children that fetch and run."""
