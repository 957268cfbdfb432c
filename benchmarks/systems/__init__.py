"""Background-job systems, each behind the same few verbs; common.py says which."""
