"""The append-only log: its recorder and codec, the appender, the people it knows, its streams."""
