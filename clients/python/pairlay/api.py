"""HTTP calls to a relay: sections 3 and 5.9 of PROTOCOL.md."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import aiohttp

from .errors import PairlayError, RelayError
from .handshake import DEFAULT_PROFILE
from .wire import BreachError, Limits, from_base64url, profile_of, to_base64url

SUBPROTOCOL = "pairlay.v1"
_CALL_SECONDS = 30.0
_ADDRESS = re.compile(r"https?://[^/?#\s]+(/[^?#\s]*)?")


@dataclass(frozen=True, slots=True)
class Registered:
    """The answer to a create or a join."""

    session_id: str
    token: str
    expires_in_ms: int
    limits: Limits
    #: Number of this receiver's channel; 0 for a sender.
    channel: int
    #: The other side's profile; of a create its own.
    profile: bytes


class Api:
    """Calls to one relay. A refusal is a RelayError with the code of section 6."""

    def __init__(self, relay: str) -> None:
        self.base = relay.rstrip("/")
        if not _ADDRESS.fullmatch(self.base):
            raise PairlayError("usage", f"{relay!r} is no address of a relay, such as https://relay.example")
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CALL_SECONDS),
            connector=aiohttp.TCPConnector(limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._session.close()

    async def call(
        self,
        method: str,
        path: str,
        *,
        token: str | None = None,
        body: dict[str, Any] | None = None,
        frame: bytes | None = None,
        seconds: float = _CALL_SECONDS,
    ) -> tuple[int, bytes]:
        """Makes a call and returns status and body of a 2xx. Raises RelayError for everything else."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        data = frame
        if body is not None:
            data = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
            headers["Content-Type"] = "application/json"
        elif frame is not None:
            headers["Content-Type"] = "application/octet-stream"
        try:
            async with self._session.request(
                method,
                f"{self.base}/v1/{path}",
                data=data,
                headers=headers,
                allow_redirects=False,
                skip_auto_headers=() if data is not None else ("Content-Type",),
                timeout=aiohttp.ClientTimeout(total=seconds),
            ) as answer:
                content = await answer.read()
                if 200 <= answer.status < 300:
                    return answer.status, content
                raise _refusal(answer, content)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise RelayError(
                "unreachable", f"The relay at {self.base} cannot be reached: {error or 'no answer'}.", retryable=True
            ) from error

    async def create(
        self, client_id: str, sender_code: str, ttl_seconds: int | None, receivers: int, access_token: str | None
    ) -> Registered:
        body: dict[str, Any] = {"clientId": client_id, "senderCode": sender_code, "maxReceivers": receivers}
        if ttl_seconds is not None:
            body["ttlSeconds"] = ttl_seconds
        return _registered(await self.call("POST", "sessions", body=body, token=access_token), is_join=False)

    async def join(self, sender_code: str, receiver_code: str, public_key: bytes, name: str | None) -> Registered:
        body = {"senderCode": sender_code, "receiverCode": receiver_code, "publicKey": to_base64url(public_key)}
        if name:
            body["name"] = name
        return _registered(await self.call("POST", "receivers", body=body), is_join=True)

    async def decide(self, session_id: str, token: str, receiver_code: str, denied: str | None) -> None:
        """Approves, or denies with this reason."""
        body = {"decision": "approved"} if denied is None else {"decision": "denied", "reason": denied}
        await self.call("PUT", f"sessions/{session_id}/receivers/{receiver_code}/decision", token=token, body=body)

    async def socket(self, session_id: str) -> aiohttp.ClientWebSocketResponse:
        """Opens the WebSocket. Raises an error of aiohttp or RelayError when that fails."""
        return await self._session.ws_connect(
            f"{self.base}/v1/sessions/{session_id}/socket",
            protocols=(SUBPROTOCOL,),
            max_msg_size=16 * 1024 * 1024,
            compress=0,
        )


def _refusal(answer: aiohttp.ClientResponse, content: bytes) -> RelayError:
    status = answer.status
    if 300 <= status < 400:
        target = answer.headers.get("Location", "elsewhere")
        return RelayError("redirected", f"The relay redirects to {target}: use that address.", status=status)
    code, title, retryable = "", "", status in (408, 429) or status >= 500
    try:
        problem = json.loads(content)
        if isinstance(problem, dict) and isinstance(problem.get("code"), str):
            code, title = problem["code"], str(problem.get("title", ""))
            retryable = problem.get("retryable") is True
    except ValueError:
        pass
    text = f"The relay refused: {title or answer.reason or status} ({code or status})."
    return RelayError(code or "http", text, status=status, retryable=retryable, wait=retry_after(answer.headers))


def retry_after(headers: Mapping[str, str] | None) -> float:
    """Seconds before which a call must not be repeated."""
    seconds = (headers or {}).get("Retry-After", "")
    return min(float(seconds), 3600.0) if seconds.isdecimal() else 0.0


def _registered(answer: tuple[int, bytes], *, is_join: bool) -> Registered:
    try:
        value = json.loads(answer[1])
        from_base64url(value["sessionId"], 16, 16)
        from_base64url(value["token"], 32, 32)
        channel = value["channel"] if is_join else 0
        if not isinstance(channel, int) or not isinstance(value["expiresInMs"], int):
            raise ValueError("no number")
        return Registered(
            session_id=value["sessionId"],
            token=value["token"],
            expires_in_ms=min(value["expiresInMs"], 86_400_000),
            limits=Limits.of(value["limits"]),
            channel=channel,
            profile=profile_of(value) if is_join else DEFAULT_PROFILE,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BreachError(f"The relay gave an answer of no documented form ({error}).") from error
