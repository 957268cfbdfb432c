"""Rules, one file a feature: pure decisions that the verbs of lifecycle ask for."""
