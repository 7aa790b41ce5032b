"""How often an address may try keys that open nothing. Each costs a look into the database."""

from __future__ import annotations

import time
from collections import OrderedDict
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final

from personakit.api.problems import TooManyGuesses
from personakit.domain.rate import Bucket

A_SECOND: Final = 10.0
MOST_ADDRESSES: Final = 10_000
"""Those that guessed longest ago are forgotten."""


class Guesses:
    """Remembers who guessed wrong."""

    def __init__(self) -> None:
        self._of: OrderedDict[str, Bucket] = OrderedDict()

    def require_few(self, host: str) -> None:
        """Raises TooManyGuesses for an address from which too many came."""
        bucket = self._of.get(_network(host))
        if bucket is not None:
            bucket.refill(time.monotonic())
            if not bucket.left:
                raise TooManyGuesses(1.0)

    def wrong(self, host: str) -> None:
        """A key that came from this address opens nothing."""
        network, now = _network(host), time.monotonic()
        bucket = self._of.pop(network, None) or Bucket(A_SECOND, now)
        bucket.take(1, now)
        self._of[network] = bucket
        if len(self._of) > MOST_ADDRESSES:
            self._of.popitem(last=False)


def _network(host: str) -> str:
    """An address, or of one of IPv6 the network of it: whoever has one there has them all."""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if not isinstance(address, IPv6Address):
        return host
    if address.ipv4_mapped is not None:  # how one of IPv4 comes to a socket that listens to both
        return str(address.ipv4_mapped)
    return str(ip_network((address, 64), strict=False))
