"""`/sync`: what happened at a client comes in, what changed goes out."""
