"""One HTTP exchange with a PersonaKit service: bytes out, bytes in, and every failure a sentence.

An exchange that may be repeated is repeated on cut connections, 429 and 503, with exponential back-off
and full jitter (each wait is drawn evenly between 0 and a ceiling that doubles), so that many clients
that lost the same server do not come back in step. `Retry-After` is waited for in full.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from typing import Protocol, TypeVar
from urllib.parse import urlencode

import msgspec
import urllib3
from urllib3.exceptions import (
    HTTPError,
    LocationParseError,
    NameResolutionError,
    NewConnectionError,
)
from urllib3.exceptions import TimeoutError as TimedOut
from urllib3.util import parse_url

from personakit_sdk import forking
from personakit_sdk.errors import Fault, InvalidInput, PersonaKitError
from personakit_sdk.wire import Problem

T = TypeVar("T")

TRY_AGAIN = frozenset({429, 503})
REPEATABLE = frozenset({"GET", "HEAD", "PUT", "DELETE"})
FIRST_CEILING = 0.1
HIGHEST_CEILING = 10.0
PIECE = 1 << 16
NO_PROBLEM_TYPE = "about:blank"
LONGEST_ASKED = 86_400.0
"""Seconds. Who asks for a longer wait than a day is asked again after a day."""


class ServiceError(PersonaKitError):
    """The service answered, and the answer is no: with the problem's stable type, its faults, and how many
    seconds it asks to wait before another try."""

    def __init__(
        self,
        status: int,
        problem_type: str,
        detail: str,
        errors: tuple[Fault, ...] = (),
        retry_after: float = 0.0,
    ) -> None:
        super().__init__(detail)
        self.retry_after = retry_after
        self.status = status
        self.type = problem_type
        self.detail = detail
        self.errors = errors


class Unreachable(PersonaKitError):
    """No service answered at the address within the time given."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(
            f"No PersonaKit service answers at {url} ({reason}). "
            "Start one with `personakit up`, or set PERSONAKIT_URL to where it runs."
        )


class Reply(msgspec.Struct, frozen=True):
    """An answer that is not an error. The names of `headers` are found in any case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def decode(self, shape: type[T]) -> T:
        """The body as a `shape`. Raises ServiceError when it is none: then something else answered."""
        try:
            return msgspec.json.decode(self.body, type=shape)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            detail = f"The service answered {self.status} with a body that is no {shape.__name__}: {error}."
            raise ServiceError(self.status, NO_PROBLEM_TYPE, detail) from error

    @property
    def retry_after(self) -> float:
        """Seconds that the answer asks to wait, at most LONGEST_ASKED; 0 when it does not. RFC 9110, 10.2.3:
        seconds or a date."""
        return min(self._asked(), LONGEST_ASKED)

    @property
    def is_problem(self) -> bool:
        """Whether it is a problem, as the service words it; anything on the way may answer otherwise."""
        try:
            msgspec.json.decode(self.body, type=Problem)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return False
        return True

    def _asked(self) -> float:
        asked = self.headers.get("retry-after", "")
        if asked.isascii() and asked.isdigit():
            return float(asked)
        if not asked:
            return 0.0
        try:
            # Against the answer's own Date, so that a wrong clock here does no harm.
            until, since = parsedate_to_datetime(asked), parsedate_to_datetime(self.headers.get("date", ""))
            return max(0.0, (until - since).total_seconds())
        except (TypeError, ValueError):
            return 0.0


class Exchange(Protocol):
    """What the outbox and the pull need of a transport: one try, and whatever comes back."""

    @property
    def url(self) -> str:
        """Where the service is."""
        ...

    def exchange(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        query: Mapping[str, str | int | None] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> Reply:
        """The answer, of any status. Raises Unreachable when there is none."""
        ...


class Backoff:
    """How long to wait before each further try, until `patience` seconds have gone by.

    Exponential with full jitter: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
    """

    def __init__(self, patience: float, clock: Callable[[], float], chance: Callable[[], float]) -> None:
        self._deadline = clock() + patience
        self._clock, self._chance = clock, chance
        self._ceiling = FIRST_CEILING

    def next(self, at_least: float = 0.0) -> float | None:
        """Seconds to wait now; None when the next try would come after the deadline."""
        wait = max(at_least, self._chance() * self._ceiling)
        self._ceiling = min(2 * self._ceiling, HIGHEST_CEILING)
        return wait if self._clock() + wait < self._deadline else None


class Transport:
    """Speaks to the service at `url` with the API key `key`; safe to share between threads.

    `timeout` is how many seconds to wait for the next bytes of an answer, `patience` how long after the
    first try another may begin. `sleep`, `clock` (monotonic seconds) and `chance` (0 to 1) are given by
    tests.
    """

    def __init__(
        self,
        url: str,
        key: str,
        *,
        timeout: float = 30.0,
        patience: float = 30.0,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.url = _checked_url(url)
        self._key = _checked_key(key)
        self._patience = patience
        self._sleep, self._clock, self._chance = sleep, clock, chance
        self._timeout = timeout
        self._pool = self._new_pool()
        forking.watch(self)

    def exchange(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        query: Mapping[str, str | int | None] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> Reply:
        """The answer to one request that is sent once, of any status. `timeout` is how many seconds to wait
        for the next bytes of it, where that is not this transport's own. Raises Unreachable."""
        sent = {**self._standing(), **(headers or {})}
        content = _content(body, sent)
        answer = self._attempt(method, self.url + path + _query_string(query or {}), content, sent, timeout)
        if not isinstance(answer, Reply):
            raise Unreachable(self.url, _reason(answer)) from answer
        return answer

    def request(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        query: Mapping[str, str | int | None] | None = None,
        headers: Mapping[str, str] | None = None,
        idempotent: bool | None = None,
        patience: float | None = None,
    ) -> Reply:
        """The service's answer to one request. `body` is sent as JSON; bytes are sent as they are.

        GET, HEAD, PUT, DELETE and what bears an `Idempotency-Key` is tried again when it gets lost;
        `idempotent=True` says of a POST that its items have ids, or that it only reads. Raises
        ServiceError for a redirect or a status of 400 and above, Unreachable when nothing answered.
        """
        sent = {**self._standing(), **(headers or {})}
        content = _content(body, sent)
        target = self.url + path + _query_string(query or {})
        may_repeat = _may_repeat(method, sent) if idempotent is None else idempotent
        backoff = self.backoff((self._patience if patience is None else patience) if may_repeat else 0.0)
        while True:
            answer = self._attempt(method, target, content, sent)
            wait = backoff.next(_retry_after(answer)) if _is_passing(answer) else None
            if wait is None:
                return self._settled(answer)
            self._sleep(wait)

    @contextmanager
    def download(self, path: str) -> Generator[Iterator[bytes]]:
        """An answer to a GET that may be larger than memory: its body in pieces, as they come; it is asked
        for once. Raises ServiceError for a redirect or a status of 400 and above, and Unreachable when
        nothing answered, or when the answer breaks off, from whoever takes the pieces."""
        timeout = self._patient(self._timeout)
        try:
            answer = self._pool.request(
                "GET",
                self.url + path,
                headers=self._standing(),
                retries=False,
                timeout=timeout,
                preload_content=False,
            )
        except HTTPError as error:
            raise Unreachable(self.url, _reason(error)) from error
        try:
            if answer.status >= 300:
                raise service_error(self.url, Reply(answer.status, answer.headers, answer.data))
            yield self._pieces(answer)
        finally:
            answer.close()

    def _pieces(self, answer: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
        try:
            yield from answer.stream(PIECE)
        except HTTPError as error:
            raise Unreachable(self.url, _reason(error)) from error

    def backoff(self, patience: float | None = None) -> Backoff:
        """The waits between tries, on this transport's clock; `patience` None is the transport's own."""
        return Backoff(self._patience if patience is None else patience, self._clock, self._chance)

    def pause(self, seconds: float) -> None:
        """Wait, as between two tries."""
        self._sleep(seconds)

    def close(self) -> None:
        """Close idle connections."""
        self._pool.clear()

    def before_fork(self) -> None:
        """Nothing is to be brought to rest: a request under way stays the parent's."""

    def after_fork_in_parent(self) -> None:
        """Goes on."""

    def after_fork_in_child(self) -> None:
        """Takes connections of its own: on the parent's, answers would go to either."""
        self._pool = self._new_pool()

    def _new_pool(self) -> urllib3.PoolManager:
        return urllib3.PoolManager(timeout=self._patient(self._timeout))

    @staticmethod
    def _patient(seconds: float) -> urllib3.Timeout:
        return urllib3.Timeout(connect=min(seconds, 5.0), read=seconds)

    def _standing(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._key}", "Accept": "application/json"}

    def _attempt(
        self,
        method: str,
        target: str,
        content: bytes | None,
        headers: Mapping[str, str],
        timeout: float | None = None,
    ) -> Reply | HTTPError:
        try:
            # The library's own retries know no bound on the total, and following a redirect would hand
            # the key to whomever it names.
            answer = self._pool.request(
                method,
                target,
                body=content,
                headers=headers,
                retries=False,
                timeout=self._patient(self._timeout if timeout is None else timeout),
            )
        except HTTPError as error:
            return error
        return Reply(answer.status, answer.headers, answer.data)

    def _settled(self, answer: Reply | HTTPError) -> Reply:
        if not isinstance(answer, Reply):
            raise Unreachable(self.url, _reason(answer)) from answer
        if answer.status >= 300 and answer.status != 304:
            raise service_error(self.url, answer)
        return answer


def _checked_url(url: str) -> str:
    try:
        parsed = parse_url(url)
    except LocationParseError as error:
        raise InvalidInput(f"{url!r} is no address; give one such as http://127.0.0.1:8042.") from error
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise InvalidInput(f"{url!r} is no address; give one such as http://127.0.0.1:8042.")
    return url.rstrip("/")


def _checked_key(key: str) -> str:
    # A line break in a header would let the key's file write headers of its own.
    if not (key and key.isascii() and key.isprintable()):
        raise InvalidInput("The API key is missing, or has characters that no key has; copy it anew.")
    return key


def _content(body: object, headers: dict[str, str]) -> bytes | None:
    if body is None:
        return None
    headers.setdefault("Content-Type", "application/json")
    return body if isinstance(body, bytes) else msgspec.json.encode(body)


def _query_string(query: Mapping[str, str | int | None]) -> str:
    given = {name: value for name, value in query.items() if value is not None}
    return f"?{urlencode(given)}" if given else ""


def _may_repeat(method: str, headers: Mapping[str, str]) -> bool:
    return method in REPEATABLE or any(name.lower() == "idempotency-key" for name in headers)


def _is_passing(answer: Reply | HTTPError) -> bool:
    return not isinstance(answer, Reply) or answer.status in TRY_AGAIN


def _retry_after(answer: Reply | HTTPError) -> float:
    return answer.retry_after if isinstance(answer, Reply) else 0.0


def _reason(error: HTTPError) -> str:
    match error:
        case NameResolutionError():
            return "the host name is not known"
        case NewConnectionError():
            return "the connection was refused"
        case TimedOut():
            return "no answer in time"
        case _:
            return "the connection broke off"


def service_error(url: str, reply: Reply) -> ServiceError:
    """The error that an answer of 400 and above says, or that something else than PersonaKit answered."""
    try:
        problem = msgspec.json.decode(reply.body, type=Problem)
    except (msgspec.DecodeError, UnicodeDecodeError):
        kind = reply.headers.get("content-type", "no content type")
        detail = f"{url} answered {reply.status} with {kind}, not with a problem; is that PersonaKit?"
        return ServiceError(reply.status, NO_PROBLEM_TYPE, detail, retry_after=reply.retry_after)
    faults = tuple(Fault(fault.pointer, fault.message) for fault in problem.errors)
    return ServiceError(reply.status, problem.type, problem.detail, faults, reply.retry_after)
