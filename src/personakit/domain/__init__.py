"""Pure: events, and the functions that decide and fold them. No I/O, no clock, no chance."""
