"""The dashboard: pages over everything that jobs, queues and workers do, and acts on them."""
