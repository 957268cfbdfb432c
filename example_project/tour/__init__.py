"""What the demo has to look at beside the tutorial's pages."""
