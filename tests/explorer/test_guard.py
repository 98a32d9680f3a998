"""The explorer's server answers only its own page."""

import asyncio
import json

import pytest
from starlette.websockets import WebSocketDisconnect

from tests.explorer.served import (
    HOST,
    ORIGIN,
    TOKEN,
    exploration,
    made_memory,
    served,
)


@pytest.fixture(scope="module")
def memory(tmp_path_factory):
    return made_memory(tmp_path_factory.mktemp("explored"))


@pytest.fixture
def own(memory, tmp_path):
    with served(exploration(memory), tmp_path / "cache") as (client, session):
        yield client, session


def get(client, path, **options):
    return client.get(f"/{TOKEN}/{path}", **options)


def test_every_response_has_the_headers(own):
    client, _ = own
    everything = [
        get(client, ""), get(client, "query?memory=0&row=0"), get(client, "nothing"), client.get("/"),
        get(client, "thumbnail?memory=0&kind=memory&row=0"), client.post(f"/{TOKEN}/upload?memory=0"),
        client.get(f"/{TOKEN}"),
    ]  # fmt: skip
    assert [response.status_code for response in everything] == [200, 200, 404, 403, 200, 403, 307]
    for response in everything:
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["referrer-policy"] == "no-referrer"
        assert "frame-ancestors 'none'" in response.headers["content-security-policy"]
        assert response.headers["cross-origin-resource-policy"] == "same-origin"
    assert everything[-1].headers["location"] == f"/{TOKEN}/"


@pytest.mark.parametrize(
    "host",
    ["evil.example", f"evil.example:{HOST}", "127.0.0.1.evil.example", "", "localhost.", "127.0.0.1:x",
     "0.0.0.0", "evil@127.0.0.1", "127.0.0.1:8765/", "[::1]:8765"],
)  # fmt: skip
def test_another_host_is_refused(own, host):
    response = get(own[0], "", headers={"host": host})
    assert response.status_code == 403 and "127.0.0.1" in response.json()["error"]


@pytest.mark.parametrize("host", ["127.0.0.1:8765", "localhost:1234", "localhost"])
def test_the_loopback_interface_is_known_by_both_names_and_any_forwarded_port(own, host):
    assert get(own[0], "", headers={"host": host}).status_code == 200


HOST_HEADER = (b"host", HOST.encode())


def raw(app, path, *, headers=(HOST_HEADER,), raw_path=None):
    """Send a request that no client would, and return its status and body."""
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http", "method": "GET", "path": path, "raw_path": (raw_path or path).encode(),
        "query_string": b"", "headers": list(headers), "http_version": "1.1", "scheme": "http",
    }  # fmt: skip
    asyncio.run(app(scope, receive, send))
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:])


def test_two_hosts_or_none_are_refused(own):
    app = own[0].app
    assert raw(app, f"/{TOKEN}/", headers=[HOST_HEADER])[0] == 200
    assert raw(app, f"/{TOKEN}/", headers=[HOST_HEADER, (b"host", b"evil.example")])[0] == 403
    assert raw(app, f"/{TOKEN}/", headers=[])[0] == 403


@pytest.mark.parametrize(
    "path",
    ["/", "//", "/query?memory=0&row=0", f"//{TOKEN}/", f"/{TOKEN[:-1]}/", f"/{TOKEN}x/", f"/x/{TOKEN}/",
     f"/{TOKEN.upper()}/", "/%74he-token2/", "/é/"],
)  # fmt: skip
def test_without_the_token_there_is_nothing(own, path):
    response = own[0].get(f"http://{HOST}{path}")
    assert response.status_code == 403 and "token" in response.json()["error"]


@pytest.mark.parametrize(
    "rest",
    ["../", "..", "../../etc/passwd", "//etc/passwd", "/", "./query", "query/", "query/..", "index.html",
     "page/main.js", "thumbnail/../query", "\\..\\", "\0", "static", "a.memory/memory.json"],
)  # fmt: skip
def test_nothing_is_served_by_path(own, rest):
    status, body = raw(own[0].app, f"/{TOKEN}/{rest}")
    assert status == 404 and json.loads(body) == {"error": "no such page"}


@pytest.mark.parametrize("rest", ["%2e%2e/", "%2e%2e%2fquery", "%71uery", "..%2f..%2fetc%2fpasswd", "%00"])
def test_escaped_paths_are_refused(own, rest):
    assert get(own[0], rest).status_code in (403, 404)
    decoded_path = f"/{TOKEN}/" + rest.replace("%71uery", "query")
    assert raw(own[0].app, decoded_path, raw_path=f"/{TOKEN}/{rest}")[0] == 404


@pytest.mark.parametrize(
    "origin",
    [
        None,
        "null",
        "http://evil.example",
        "https://127.0.0.1:8765",
        "http://127.0.0.1:8766",
        "http://127.0.0.1",
    ],
)
def test_only_the_own_page_may_post(own, origin):
    headers = {"content-type": "image/png", **({} if origin is None else {"origin": origin})}
    response = own[0].post(f"/{TOKEN}/upload?memory=0", content=b"x", headers=headers)
    assert response.status_code == 403 and "own page" in response.json()["error"]
    assert own[1].uploads.get(0) is None


def test_each_page_takes_its_own_kind_of_request(own):
    client, _ = own
    for method, path in (("POST", "query?memory=0&row=0"), ("GET", "upload?memory=0"), ("DELETE", "")):
        response = client.request(method, f"/{TOKEN}/{path}", headers=ORIGIN)
        assert response.status_code == 405 and response.json() == {"error": f"this page takes no {method}"}
        assert response.headers["allow"]
    with pytest.raises(WebSocketDisconnect) as refused, client.websocket_connect(f"/{TOKEN}/"):
        pass
    assert refused.value.code == 1008
