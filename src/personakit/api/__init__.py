"""The HTTP API: one module a resource, thin handlers, every error a problem document."""
