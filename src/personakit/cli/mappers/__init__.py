"""`personakit mappers`: one module per command, put together in `group`."""
