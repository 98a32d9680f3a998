"""The explorer's server: the page, and the questions that it asks, on the loopback interface."""

import asyncio
import secrets
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from hueprobe.errors import HueprobeError, ImageError, InputError, MissingDependencyError

try:
    import uvicorn
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.exceptions import HTTPException
    from starlette.requests import ClientDisconnect, Request
    from starlette.responses import HTMLResponse, Response
    from starlette.routing import Route
except ModuleNotFoundError as error:
    raise MissingDependencyError(
        f"the explorer's server needs {error.name}, which is not installed; pip install 'hueprobe[explore]', "
        "or write a page in one file with -o"
    ) from None

from hueprobe.explorer.documents import server_document
from hueprobe.explorer.exploration import Exploration, Explored
from hueprobe.explorer.guard import DATA_POLICY, Guard, RequestError, error_response
from hueprobe.explorer.page_data import QueryArrays
from hueprobe.explorer.page_file import content_policy, page
from hueprobe.explorer.session import ServerSession
from hueprobe.explorer.thumbnails import FORMAT, thumbnail_bytes
from hueprobe.explorer.typed_arrays import encoded
from hueprobe.explorer.uploads import Upload, most_bytes, received_upload
from hueprobe.images.reading import show_image
from hueprobe.json_documents import json_text

Answer = TypeVar("Answer")
_MOST_DECODING = 4  # images at a time: the largest allowed one takes 270 MB
_MOST_CONNECTIONS = 100
_SECONDS_TO_END = 2  # that a response may still take after Ctrl-C
_SECONDS_IDLE = 75  # before a connection is closed: browsers may not repeat an upload that meets the closing
_NOT_FRAMED = "; frame-ancestors 'none'"


def serve(
    exploration: Exploration,
    *,
    port: int,
    ready: Callable[[str], None],
    cache_folder: Path | None = None,
) -> None:
    """Serve the page until Ctrl-C.

    Parameters
    ----------
    exploration : Exploration
        What is explored.
    port : int
        Port on 127.0.0.1; 0 chooses a free one.
    ready : callable
        Called with the page's address once the server accepts connections. The address contains a random
        token: whoever has it can see the images.
    cache_folder : path, optional
        Folder of the thumbnails. By default one in the user's cache folder.

    Raises
    ------
    InputError
        The port is taken or not allowed.
    """
    token = secrets.token_urlsafe(24)
    with _bound(port) as listening, ServerSession(exploration, cache_folder=cache_folder) as session:
        listening.listen()
        ready(f"http://127.0.0.1:{listening.getsockname()[1]}/{token}/")
        config = uvicorn.Config(
            create_app(session, token=token), loop="asyncio", http="h11", ws="none", lifespan="off",
            log_config=None, log_level="critical", access_log=False, server_header=False, proxy_headers=False,
            limit_concurrency=_MOST_CONNECTIONS, timeout_graceful_shutdown=_SECONDS_TO_END,
            timeout_keep_alive=_SECONDS_IDLE,
        )  # fmt: skip
        try:
            uvicorn.Server(config).run(sockets=[listening])
        except KeyboardInterrupt as stop:
            if type(stop) is not KeyboardInterrupt:  # SIGTERM, for instance: the caller ends with its code
                raise


def create_app(
    session: ServerSession, *, token: str, report: Callable[[Exception], None] | None = None
) -> Guard:
    """Return the ASGI app of the server.

    Parameters
    ----------
    session : ServerSession
        A session whose thread runs.
    token : str
        First part of every path.
    report : callable, optional
        Called with an exception that is a bug. By default `sys.excepthook`, as for any other that nothing
        catches; the client only gets status 500.
    """
    endpoints = _Endpoints(session)
    app = Starlette(
        routes=[
            Route("/", endpoints.page),
            Route("/query", endpoints.query),
            Route("/memory-image", endpoints.memory_image),
            Route("/predictions", endpoints.predictions),
            Route("/thumbnail", endpoints.thumbnail),
            Route("/upload", endpoints.upload, methods=["POST"]),
            Route("/reverse", endpoints.reverse),
            Route("/hubs", endpoints.hubs),
        ],
        exception_handlers={
            HTTPException: _of_http,
            RequestError: _of_refused,
            HueprobeError: _of_hueprobe,
            Exception: _of_bug,
        },
    )
    app.router.redirect_slashes = False
    return Guard(app, token=token, report=report or _as_uncaught)


class _Endpoints:
    """The pages of the server. Whatever takes time runs outside the event loop."""

    def __init__(self, session: ServerSession) -> None:
        self._session = session
        self._page = page({**server_document(session.exploration), "max_upload_bytes": most_bytes()})
        self._decoding = asyncio.Semaphore(_MOST_DECODING)

    async def page(self, request: Request) -> Response:
        policy = content_policy("server") + _NOT_FRAMED
        return HTMLResponse(self._page, headers={"content-security-policy": policy})

    async def query(self, request: Request) -> Response:
        number, session = self._memory(request), self._session
        if _kind(request, ("query", "upload")) == "upload":
            upload = self._upload(request)
            return _answered(await self._found(request, lambda: session.upload(number, upload)))
        row = _whole(request, "row", len(session.exploration.askable))
        return _answered(await self._found(request, lambda: session.query(number, row)))

    async def memory_image(self, request: Request) -> Response:
        number, session = self._memory(request), self._session
        row = _whole(request, "row", self._explored(number).memory.n_images)
        return _answered(await self._found(request, lambda: session.memory_image(number, row)))

    async def upload(self, request: Request) -> Response:
        number, session = self._memory(request), self._session
        upload = await received_upload(request)
        found = await self._found(request, lambda: session.upload(number, upload))
        return _json({"row": session.uploads.add(upload), "path": upload.name, "queries": found.to_json()})

    async def predictions(self, request: Request) -> Response:
        overview = self._session.overviews[self._memory(request)]
        found = await run_in_threadpool(overview.predictions)
        record = {
            "done": found.done,
            "total": len(found.predicted),
            "predicted": encoded(found.predicted, "int32"),
            "margin": encoded(found.margin, "float32"),
        }
        failure = self._session.failure
        return _json(record if failure is None else {**record, "error": failure})

    async def thumbnail(self, request: Request) -> Response:
        number, session = self._memory(request), self._session
        one, exploration = self._explored(number), session.exploration
        kind = _kind(request, ("memory", "query", "upload"))
        if kind == "upload":
            upload = self._upload(request)
            return await self._image(request, lambda: self._of_upload(one, upload))
        table, row = one.images, _whole(request, "row", one.memory.n_images if kind == "memory" else None)
        if kind == "query":
            row = int(exploration.askable[_whole(request, "row", len(exploration.askable))])
            table = one.images if exploration.queries is None else exploration.queries
        return await self._image(request, lambda: session.thumbnails.get(one, table, row))

    async def reverse(self, request: Request) -> Response:
        number = self._memory(request)
        overview = self._session.overviews[number]
        vector_id = _whole(request, "id", self._explored(number).memory.n_slots)
        n = overview.n_kept
        cells, distance = await run_in_threadpool(overview.reverse, vector_id)
        return _json(
            {"cells": encoded(cells, "uint32"), "distance": encoded(distance, "float32"), "queries": n}
        )

    async def hubs(self, request: Request) -> Response:
        overview = self._session.overviews[self._memory(request)]
        n = overview.n_kept
        ids, count, n_matches = await run_in_threadpool(overview.hubs)
        found = {"ids": encoded(ids, "uint32"), "count": encoded(count, "uint32")}
        return _json({**found, "queries": n, "matches": n_matches})

    def _memory(self, request: Request) -> int:
        return _whole(request, "memory", len(self._session.exploration.explored))

    def _explored(self, number: int) -> Explored:
        return self._session.exploration.explored[number]

    def _upload(self, request: Request) -> Upload:
        row = _whole(request, "row", None)
        upload = self._session.uploads.get(row)
        if upload is None:
            raise RequestError(404, f"upload {row} is no longer there; upload the image again")
        return upload

    def _of_upload(self, one: Explored, upload: Upload) -> bytes:
        settings = self._session.exploration.thumbnails
        return thumbnail_bytes(show_image(upload.table(), 0), one.transform, settings)

    async def _image(self, request: Request, make: Callable[[], bytes]) -> Response:
        async with self._decoding:
            if await request.is_disconnected():  # scrolled past while waiting
                raise ClientDisconnect
            try:
                made = await run_in_threadpool(make)
            except ImageError as error:
                raise RequestError(404, str(error)) from None
        headers = {"cache-control": "private, max-age=3600", "content-security-policy": DATA_POLICY}
        return Response(made, media_type=f"image/{FORMAT}", headers=headers)

    async def _found(self, request: Request, ask: Callable[[], Answer]) -> Answer:
        """Return an answer of the search thread; drop the question if the client leaves before its turn."""
        future = asyncio.wrap_future(self._session.thread.ask(ask))
        leaving = asyncio.ensure_future(_left(request))
        either: set[asyncio.Future[Any]] = {future, leaving}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not future.done():
                raise ClientDisconnect
            if future.cancelled():
                raise RequestError(503, "the server is ending; start it again")
            return future.result()
        finally:
            future.cancel()
            leaving.cancel()


async def _left(request: Request) -> None:
    """Return once the client has left."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _whole(request: Request, name: str, n: int | None) -> int:
    """Return a parameter that is a whole number, from 0 to n - 1 if n is given."""
    text = request.query_params.get(name, "")
    if not (text.isascii() and text.isdecimal() and len(text) <= 18):
        raise RequestError(400, f"{name} is {text[:40]!r}; give a whole number")
    if n is not None and int(text) >= n:
        raise RequestError(404, f"{name} is {text}; there are {n}, from 0")
    return int(text)


def _kind(request: Request, kinds: tuple[str, ...]) -> str:
    kind = request.query_params.get("kind", kinds[0])
    if kind not in kinds:
        raise RequestError(400, f"kind is {kind[:40]!r}; choose one of: {', '.join(kinds)}")
    return kind


def _answered(found: QueryArrays) -> Response:
    return _json({"queries": found.to_json()})


def _json(document: dict[str, Any]) -> Response:
    return Response(json_text(document, sort_keys=False), media_type="application/json")


async def _of_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    text = "no such page" if error.status_code == 404 else f"this page takes no {request.method}"
    response = error_response(error.status_code, text)
    response.headers.update(error.headers or {})
    return response


async def _of_refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)
    return error_response(error.status, error.text)


async def _of_hueprobe(request: Request, error: Exception) -> Response:
    return error_response(422, str(error))


async def _of_bug(request: Request, error: Exception) -> Response:
    return error_response(500, "the server failed; the terminal that it runs in says why")


def _as_uncaught(error: Exception) -> None:
    sys.excepthook(type(error), error, error.__traceback__)


def _bound(port: int) -> socket.socket:
    """Return a socket that is bound to a port of the loopback interface."""
    # With the protocol, asyncio sends without delay (TCP_NODELAY); otherwise each response takes 40 ms more.
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if sys.platform != "win32":  # there it would let two servers share a port
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(("127.0.0.1", port))
    except (OSError, OverflowError) as error:
        bound.close()
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"port {port} cannot be used: {reason}; give another port, or 0 for a free one"
        ) from None
    return bound
