"""The light library that applications embed; imports msgspec, urllib3 and the standard library only."""
