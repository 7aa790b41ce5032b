"""`personakit people`: who is known, what is held about them, and who is forgotten."""
