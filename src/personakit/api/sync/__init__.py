"""`/sync`: what changed since a cursor or an instant."""
