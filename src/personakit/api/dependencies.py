"""What every handler may ask for by name: the service, and the tenant whose key the request bears."""

from __future__ import annotations

from litestar.di import NamedDependency

from personakit.agents.service import Service

ServiceGiven = NamedDependency[Service]
TenantGiven = NamedDependency[str]
