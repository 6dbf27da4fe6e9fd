"""Asking an HTTP service: its key kept out of sight, every answer judged, every refusal one clear line."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol, TypeVar
from urllib.parse import quote

import httpx
import orjson

from penstock.errors import NotFound, ServiceUnavailable, TerminalError, TransientError, UsageError

if TYPE_CHECKING:
    from pydantic import SecretStr

T = TypeVar("T")

GO_ON = "run the same again: it goes on with the page it was at"
BEARER = ""
"""A key is sent in the header Authorization instead of a parameter."""
_PARAMETERS = re.compile(r"\?[^\s:]+")
_SAID = 200


class HttpService(Protocol):
    """The guarded client (`needs = ("http", …)`)."""

    def transport(self) -> httpx.BaseTransport: ...


class Refused(UsageError):
    """The service says that the request is wrong, in its own words."""

    reason = "refused"


class Missing(NotFound):
    """The service has no such thing."""


class Api:
    """One service at the base URL `url`, asked under the name of `source`. `key` is sent as the parameter `sent_as`.

    `settings` are the names of the variables that hold the URL and the key ("": there is none), for messages.
    """

    def __init__(
        self,
        source: str,
        url: str,
        key: SecretStr | None,
        http: HttpService,
        settings: tuple[str, str],
        sent_as: str = "api_key",
    ) -> None:
        self._http, self._key, self._sent_as = http, key, sent_as
        self._said = f"source {source}: "
        self._url_setting, self._key_setting = settings
        self._base = _base(url.rstrip("/"), self._url_setting)
        self.url = str(self._base.copy_with(userinfo=b"")).rstrip("/")
        """The base URL as it may be seen: without a user's name and password."""
        self._made: httpx.Client | None = None

    def get(self, path: str, params: Mapping[str, str], read: Callable[[httpx.Response], T]) -> T:
        """What `read` makes of the answer, whose status is 200. A TransientError that it raises is retried.

        Raises Missing for 404 and 410, Refused for other refusals of the request, TransientErrors for the service's
        faults (a refused key among them) and whatever `read` raises.
        """
        found: list[T] = []

        def judge(answer: httpx.Response) -> None:
            if answer.status_code == 200:
                found.append(read(answer))

        url = str(self._base).rstrip("/") + path
        try:
            answer = self._client().get(url, params=dict(params), extensions={"judge": judge})
        except TransientError as error:
            known = _PARAMETERS.sub("", error.message.removeprefix(self._said))
            where = "" if self._base.host in known else f"{self._base.host}: "
            error.args = (f"{self._said}{where}{known}",)
            if error.next_step == TransientError.next_step:
                error.next_step = GO_ON
            raise
        if found:
            return found[-1]
        raise self._refusal(answer)

    def reason_in(self, body: bytes) -> str:
        """What an error's body says, in one line, without the key."""
        said = _reason_in(self.keyless(body))
        return self.keyless(said.encode(errors="replace")).decode()  # which JSON may have spelled otherwise

    def keyless(self, body: bytes) -> bytes:
        """A body without the key, which some services repeat, as it is or as it stood in the URL."""
        key = self._key.get_secret_value() if self._key else ""
        for form in {key, quote(key, safe="")} - {""}:
            body = body.replace(form.encode(), b"***")
        return body

    def _client(self) -> httpx.Client:
        if self._made is None:
            keyed = _Keyed(self._http.transport(), self._base, self._key, self._sent_as)
            headers = {"Accept": "application/json", "User-Agent": "penstock"}
            self._made = httpx.Client(
                transport=keyed, headers=headers, follow_redirects=True, max_redirects=5, trust_env=False
            )
        return self._made

    def _refusal(self, answer: httpx.Response) -> Exception:
        status = answer.status_code
        said = f"{self._said}the service answered {status}: {self.reason_in(answer.content)}"
        if status in (404, 410):
            return Missing(said, next_step=f"check {self._url_setting}, if it is set")
        if status in (401, 403):
            fix = f"check {self._key_setting}" if self._key_setting else "ask the service why it turns you away"
            return ServiceUnavailable(
                said, reason="unauthorized", next_step=f"{fix}, then run the same again", status=status
            )
        if 400 <= status < 500:
            return Refused(said, next_step="correct --query")
        return TerminalError(said, reason=f"http-{status}")


def _base(url: str, setting: str) -> httpx.URL:
    try:
        base = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise UsageError(f"{setting} is no URL: {error}") from None
    if base.scheme not in ("http", "https") or not base.host or base.query or base.fragment:
        raise UsageError(f"{setting} must be like https://host/path", next_step="correct it, or leave it unset")
    return base


def _reason_in(body: bytes) -> str:
    """What an error's body says, in one line: the message of a JSON object, else the beginning of the text."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        value = None
    if isinstance(value, dict):
        inner = value.get("error")
        told = [inner.get("code"), inner.get("message")] if isinstance(inner, dict) else [inner, value.get("message")]
        text = ": ".join(str(part) for part in told if part and part is not True)
    else:
        text = body[: 4 * _SAID].decode(errors="replace")
    text = " ".join(text.split())
    return text if len(text) <= _SAID else text[: _SAID - 1] + "…"


class _Keyed(httpx.BaseTransport):
    """Adds the key as late as can be, so that no URL that is logged, raised or kept holds it, and to `home` only."""

    def __init__(self, inner: httpx.BaseTransport, home: httpx.URL, key: SecretStr | None, sent_as: str) -> None:
        self._inner, self._home, self._key, self._sent_as = inner, home, key, sent_as

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        url, headers = request.url, request.headers.copy()
        if self._key and (url.scheme, url.host, url.port) == (self._home.scheme, self._home.host, self._home.port):
            if self._sent_as == BEARER:
                headers["Authorization"] = f"Bearer {self._key.get_secret_value()}"
            else:
                url = url.copy_merge_params({self._sent_as: self._key.get_secret_value()})
            request = httpx.Request(request.method, url, headers=headers, extensions=request.extensions)
        return self._inner.handle_request(request)

    def close(self) -> None:
        self._inner.close()
