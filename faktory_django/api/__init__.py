"""What an application calls: @job and its pushes, and what a running job knows of itself."""
