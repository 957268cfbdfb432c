"""Measures background-job systems on the same work: docs/explanation/performance.md."""
