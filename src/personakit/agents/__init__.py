"""Background agents: followers, the mindscaper, the regenerator; and what wakes them."""
