"""What is done for people: agents in the background and what wakes them, and commands for whoever asks."""
