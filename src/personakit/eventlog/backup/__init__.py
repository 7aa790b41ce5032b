"""Backups of the log and the operational tables, people's keys apart, and restoring them."""
