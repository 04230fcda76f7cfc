"""What networks are for, one folder a task."""
