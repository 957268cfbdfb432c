"""What can happen to a job: one verb, one file, one transaction, its SQL beside it."""
