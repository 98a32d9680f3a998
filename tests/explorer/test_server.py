"""The explorer's server answers what the classifier answers."""

import asyncio
import collections
import json
import sys
import threading
import time
from unittest import mock

import numpy as np
import pytest

from hueprobe import KernelDensityClassifier
from hueprobe.errors import InputError
from hueprobe.explorer.overview import Overview
from hueprobe.explorer.page_file import content_policy
from hueprobe.explorer.server import create_app
from hueprobe.explorer.session import ServerSession
from hueprobe.explorer.typed_arrays import decoded
from tests.explorer.served import (
    HOST,
    TOKEN,
    K,
    draw,
    exploration,
    made_memory,
    served,
    wait_for_background,
)


@pytest.fixture(scope="module")
def memory(tmp_path_factory):
    return made_memory(tmp_path_factory.mktemp("explored"))


@pytest.fixture(scope="module")
def queries(tmp_path_factory):
    folder = draw(tmp_path_factory.mktemp("queries") / "q", 2, seed=1)
    (folder / "cat" / "2.png").write_bytes(b"damaged")
    return folder


@pytest.fixture
def own(memory, tmp_path):
    with served(exploration(memory), tmp_path / "cache") as (client, session):
        yield client, session


def get(client, path, **options):
    return client.get(f"/{TOKEN}/{path}", **options)


def answer(client, path):
    response = get(client, path)
    assert response.status_code == 200, response.text
    return response.json()


def require_same(record, result, number=0):
    """Compare a record with one image of a classification, match by match."""
    record = record["queries"]
    row = result.rows[number]
    expected_ids, expected_distance = collections.defaultdict(list), collections.defaultdict(list)
    matches = result.matches.select(result.matches.query_image == row)
    for cell, image, y, x, distance in zip(
        matches.query_cell, matches.image, matches.y, matches.x, matches.distance, strict=True
    ):
        expected_ids[cell].append(image * 36 + y * 6 + x)
        expected_distance[cell].append(distance)
    ids, distance = decoded(record["ids"]), decoded(record["distance"])
    assert ids.shape == distance.shape == (1, 36, K)
    for cell in range(36):
        assert ids[0, cell].tolist() == expected_ids[cell]
        np.testing.assert_allclose(distance[0, cell], expected_distance[cell], rtol=1e-6)
    np.testing.assert_allclose(decoded(record["likelihood"])[0], result.likelihood[number], rtol=1e-6)
    np.testing.assert_array_equal(decoded(record["counts"])[0], result.class_counts[number])
    np.testing.assert_allclose(decoded(record["energy"])[0], result.energy[number].reshape(-1), rtol=1e-6)
    assert decoded(record["predicted"]).tolist() == [result.predicted[number]]
    assert record["paths"] == [result.images[number]]
    assert record["class_names"] == [result.true_class[number]]


def test_memory_images_are_answered_as_by_the_classifier(memory, own):
    client, _ = own
    result = KernelDensityClassifier(memory, k=K).leave_one_out()
    for row in range(8):
        require_same(answer(client, f"query?memory=0&row={row}"), result, row)
        assert answer(client, f"memory-image?memory=0&row={row}") == answer(
            client, f"query?memory=0&row={row}"
        )
    assert decoded(answer(client, "query?memory=0&row=5")["queries"]["memory_row"]).tolist() == [5]


def test_query_images_are_answered_as_by_the_classifier(memory, queries, tmp_path):
    result = KernelDensityClassifier(memory, k=K).classify(queries)
    with served(exploration(memory, queries=queries), tmp_path) as (client, session):
        for number, row in enumerate(result.rows):
            require_same(answer(client, f"query?memory=0&row={row}"), result, number)
        refused = get(client, "query?memory=0&row=2")
        assert refused.status_code == 422
        assert refused.json() == {"error": "the image cannot be read: not an image of a known format"}
        wait_for_background(session)
        predicted = decoded(answer(client, "predictions?memory=0")["predicted"])
        assert predicted[result.rows].tolist() == result.predicted.tolist() and predicted[2] == -1
        require_same(
            answer(client, "memory-image?memory=0&row=3"),
            KernelDensityClassifier(memory, k=K).leave_one_out(),
            3,
        )


def test_two_memories_are_asked_for_the_same_images(memory, tmp_path):
    moved = made_memory(tmp_path)  # equal, in another folder
    with served(exploration(memory, moved), tmp_path / "cache") as (client, _):
        assert answer(client, "query?memory=1&row=3") == answer(client, "query?memory=0&row=3")
        assert get(client, "query?memory=2&row=3").status_code == 404


def test_the_background_pass_tells_predictions_and_who_chose_whom(memory, own):
    client, session = own
    wait_for_background(session)
    result = KernelDensityClassifier(memory, k=K).leave_one_out()
    found = answer(client, "predictions?memory=0")
    assert (found["done"], found["total"]) == (8, 8) and "error" not in found
    assert decoded(found["predicted"]).tolist() == result.predicted.tolist()
    ordered = np.sort(result.likelihood, axis=1)
    np.testing.assert_allclose(decoded(found["margin"]), ordered[:, -1] - ordered[:, -2], atol=1e-6)
    matches = result.matches
    chosen = collections.Counter((matches.image * 36 + matches.match_cell).tolist())
    hubs = answer(client, "hubs?memory=0")
    assert hubs["queries"] == 8 and hubs["matches"] == len(matches)
    expected = sorted(chosen.items(), key=lambda item: (-item[1], item[0]))[:200]
    assert list(zip(decoded(hubs["ids"]).tolist(), decoded(hubs["count"]).tolist(), strict=True)) == expected
    for vector_id in (expected[0][0], next(i for i in range(288) if i not in chosen)):
        reverse = answer(client, f"reverse?memory=0&id={vector_id}")
        here = matches.image * 36 + matches.match_cell == vector_id
        pairs = zip(matches.distance[here], matches.query_image[here], matches.query_cell[here], strict=True)
        nearest = sorted(pairs)
        assert decoded(reverse["cells"]).reshape(-1, 2).tolist() == [[row, cell] for _, row, cell in nearest]
        np.testing.assert_allclose(decoded(reverse["distance"]), [d for d, _, _ in nearest], rtol=1e-6)


def test_the_page_holds_the_document_without_matches_and_its_policy_is_strict(own):
    client, _ = own
    response = get(client, "")
    assert response.status_code == 200
    text = response.text
    start = text.index(">", text.index('id="data"')) + 1
    document = json.loads(text[start : text.index("</script>", start)])
    assert document["mode"] == "server" and "pictures" not in document
    assert document["max_upload_bytes"] == 64 << 20
    (one,) = document["memories"]
    assert one["queries"]["paths"][5] == "dog/1.png" and "ids" not in one["queries"]
    policy = response.headers["content-security-policy"]
    assert policy == content_policy("server") + "; frame-ancestors 'none'"
    assert "unsafe" not in policy and "*" not in policy and "http" not in policy


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("query", 400, "memory is ''; give a whole number"),
        ("query?memory=0", 400, "row is ''; give a whole number"),
        ("query?memory=0&row=-1", 400, "row is '-1'; give a whole number"),
        ("query?memory=0&row=1e1", 400, "row is '1e1'; give a whole number"),
        ("query?memory=0&row=²", 400, "row is '²'; give a whole number"),
        ("query?memory=0&row=" + "9" * 5000, 400, f"row is '{'9' * 40}'; give a whole number"),
        ("query?memory=0&row=8", 404, "row is 8; there are 8, from 0"),
        ("memory-image?memory=1&row=0", 404, "memory is 1; there are 1, from 0"),
        ("thumbnail?memory=0&kind=file&row=0", 400, "kind is 'file'; choose one of: memory, query, upload"),
        ("thumbnail?memory=0&kind=upload&row=0", 404, "upload 0 is no longer there; upload the image again"),
        ("query?memory=0&kind=upload&row=7", 404, "upload 7 is no longer there; upload the image again"),
        ("reverse?memory=0&id=288", 404, "id is 288; there are 288, from 0"),
    ],
)
def test_wrong_parameters_are_told_in_one_sentence(own, path, status, says):
    response = get(own[0], path)
    assert (response.status_code, response.json()) == (status, {"error": says})


def test_a_bug_is_reported_and_no_traceback_leaves(memory, tmp_path):
    reports = []
    with served(exploration(memory), tmp_path, reports=reports) as (client, _):
        with mock.patch.object(ServerSession, "query", side_effect=ZeroDivisionError("secret")):
            response = get(client, "query?memory=0&row=0")
        assert response.status_code == 500
        assert response.json() == {"error": "the server failed; the terminal that it runs in says why"}
        assert response.headers["x-content-type-options"] == "nosniff"
        answer(client, "query?memory=0&row=0")
    (error,) = reports
    assert isinstance(error, ZeroDivisionError)


def test_a_bug_is_reported_as_any_uncaught_one(memory, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(sys, "excepthook", lambda *error: seen.append(error[0]))
    sent = []

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http", "method": "GET", "path": f"/{TOKEN}/hubs", "query_string": b"memory=0",
        "headers": [(b"host", HOST.encode())],
    }  # fmt: skip
    broken = mock.patch.object(Overview, "hubs", side_effect=ZeroDivisionError)
    with ServerSession(exploration(memory), cache_folder=tmp_path) as session, broken:
        asyncio.run(create_app(session, token=TOKEN)(scope, asyncio.Event().wait, send))
    assert seen == [ZeroDivisionError] and sent[0]["status"] == 500


@pytest.mark.parametrize(
    ("error", "says", "reported"),
    [
        (InputError("the disk is gone"), "the disk is gone", []),
        (ZeroDivisionError("secret"), "the pass over all images failed; the terminal that the server runs in "
         "says why", [ZeroDivisionError]),
    ],
)  # fmt: skip
def test_a_background_pass_that_fails_says_so_and_questions_are_still_answered(
    memory, tmp_path, monkeypatch, error, says, reported
):
    seen = []
    monkeypatch.setattr(sys, "excepthook", lambda *error: seen.append(error[0]))
    broken = mock.patch.object(ServerSession, "_readable", side_effect=error)
    with broken, served(exploration(memory), tmp_path) as (client, session):
        while session.failure is None:
            time.sleep(0.01)
        found = answer(client, "predictions?memory=0")
        assert found["error"] == says and found["done"] == 0
        assert decoded(found["predicted"]).tolist() == [-2] * 8
        assert answer(client, "hubs?memory=0")["queries"] == 0
        answer(client, "query?memory=0&row=0")
    assert seen == reported


def test_searches_that_wait_do_not_block_the_page(own):
    client, session = own
    begun, go = threading.Event(), threading.Event()
    session.thread.ask(lambda: begun.set() or go.wait(10))
    begun.wait(10)
    results = []
    asking = threading.Thread(target=lambda: results.append(get(client, "query?memory=0&row=0")))
    asking.start()
    try:
        assert get(client, "").status_code == 200
        assert get(client, "predictions?memory=0").status_code == 200
        assert get(client, "thumbnail?memory=0&kind=query&row=0").status_code == 200
        assert results == []
    finally:
        go.set()
        asking.join()
    assert results[0].status_code == 200


def test_the_question_of_a_client_that_left_is_never_asked(own):
    client, session = own
    wait_for_background(session)
    begun, go = threading.Event(), threading.Event()
    session.thread.ask(lambda: begun.set() or go.wait(10))
    begun.wait(10)
    sent = []

    async def send(message):
        sent.append(message)

    async def ask():
        messages = [{"type": "http.request", "body": b"", "more_body": False}, {"type": "http.disconnect"}]

        async def receive():
            return messages.pop(0)

        scope = {
            "type": "http", "method": "GET", "path": f"/{TOKEN}/query", "query_string": b"memory=0&row=0",
            "headers": [(b"host", HOST.encode())],
        }  # fmt: skip
        await client.app(scope, receive, send)

    with mock.patch.object(ServerSession, "query") as query:
        asyncio.run(ask())
        go.set()
        session.thread.ask(lambda: None).result(10)
    query.assert_not_called()


def test_a_server_that_ends_says_so(own):
    client, session = own
    session.thread.stop()
    response = get(client, "query?memory=0&row=0")
    assert response.status_code == 503 and "ending" in response.json()["error"]
