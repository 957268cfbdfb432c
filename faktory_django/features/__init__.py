"""Rules of the features that the verbs name, one file a feature: pure, and none knows another."""
