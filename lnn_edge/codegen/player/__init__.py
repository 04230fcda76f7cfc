"""What plays recordings through exported models: one player, and a file of each runtime."""
