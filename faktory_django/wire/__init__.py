"""The Faktory Work Protocol: workers and producers in any language, on the same queues."""
