"""What every request to the explorer's server must bring, and the headers of every response.

The server listens on the loopback interface only. That alone does not keep other websites out: any page in
the same browser can send requests to it. So each address contains a random token; the Host header must name
the loopback interface, or else another site's name resolves to it (DNS rebinding); and a request that
changes something must come from the server's own page (Origin).
"""

import hmac
from collections.abc import Callable
from urllib.parse import urlsplit

from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_HOSTS = ("127.0.0.1", "localhost")
# The page has its own policy; other responses are data that nothing may run or show in a frame.
DATA_POLICY = "default-src 'none'; frame-ancestors 'none'"
_HEADERS = {
    "content-security-policy": DATA_POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}


class RequestError(Exception):
    """A request that is refused.

    Parameters
    ----------
    status : int
        HTTP status.
    text : str
        What is wrong, and what to do.
    """

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status, self.text = status, text


class Guard:
    """An ASGI app that lets only requests with the token, from this machine's own page, reach another app.

    Parameters
    ----------
    app : ASGI app
        Gets the requests, with the token moved from the path to `root_path`.
    token : str
        First part of every path, compared in constant time.
    report : callable
        Called with an exception that `app` raises after its response.
    """

    def __init__(self, app: ASGIApp, *, token: str, report: Callable[[Exception], None]) -> None:
        self._app, self._token, self._report = app, token, report

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # a WebSocket
            await send({"type": "websocket.close", "code": 1008})
            return

        async def guarded_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", []))
                present = {name.lower() for name, _ in headers}
                headers += [
                    (name.encode(), value.encode())
                    for name, value in _HEADERS.items()
                    if name.encode() not in present
                ]
                message = {**message, "headers": headers}
            await send(message)

        refusal = self._refusal(scope)
        if refusal is not None:
            await refusal(scope, receive, guarded_send)
            return
        try:
            # Starlette takes root_path off the path.
            inside = {**scope, "root_path": f"/{self._token}"}
            await self._app(inside, receive, guarded_send)
        except ClientDisconnect:
            pass
        except Exception as error:  # the app has sent a response that does not tell it
            self._report(error)

    def _refusal(self, scope: Scope) -> JSONResponse | RedirectResponse | None:
        """Return the response to a request that may not pass."""
        host = _only(scope, b"host")
        if host is None or _host_name(host) not in _HOSTS:
            return error_response(403, "the address must begin with http://127.0.0.1 or http://localhost")
        token = f"{scope['path']}/".split("/", 2)[1]
        if not hmac.compare_digest(token.encode(), self._token.encode()):
            return error_response(
                403, "the address lacks the token; open the one that `hueprobe explore` printed"
            )
        if "%" in scope.get("raw_path", b"").decode("latin-1"):
            return error_response(404, "no such page")
        if scope["path"] == f"/{self._token}":
            return RedirectResponse(f"/{self._token}/")
        origin = _only(scope, b"origin")
        if scope["method"] not in ("GET", "HEAD") and origin != f"http://{host}":
            return error_response(403, "only the explorer's own page may send this")
        return None


def error_response(status: int, text: str) -> JSONResponse:
    """Return the response of an error: JSON with one sentence.

    Parameters
    ----------
    status : int
        HTTP status.
    text : str
        What is wrong, and what to do.
    """
    return JSONResponse({"error": text}, status)


def _only(scope: Scope, name: bytes) -> str | None:
    """Return the value of a header that is there exactly once."""
    values = [value for key, value in scope["headers"] if key == name]
    return values[0].decode("latin-1") if len(values) == 1 else None


def _host_name(host: str) -> str | None:
    """Return the name of a Host header, without the port; any port, as it may be forwarded."""
    try:
        parts = urlsplit(f"//{host}")
        return parts.hostname if parts.netloc == host and parts.port != 0 and "@" not in host else None
    except ValueError:
        return None
