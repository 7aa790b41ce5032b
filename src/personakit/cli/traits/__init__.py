"""`personakit traits`: work on documents of computed traits."""
