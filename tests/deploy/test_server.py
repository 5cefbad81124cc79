"""A network over HTTP: every form of a request is answered alike; what cannot be is a sentence and a 4xx."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from ofa.deploy import server
from ofa.deploy.serving import TextClassifier

TEXTS = ["w5 w6", "w7"]


@pytest.fixture(scope="module")
def client(served_folder: Path) -> TestClient:
    return TestClient(server.app(TextClassifier(served_folder)))


def ask(client: TestClient, body: object) -> object:
    return client.post("/invocations", json=body)


def test_every_form_is_answered_alike(client: TestClient) -> None:
    forms = [
        {"inputs": TEXTS},
        {"inputs": {"text": TEXTS}},
        {"dataframe_split": {"columns": ["text"], "data": [[text] for text in TEXTS]}},
        {"dataframe_records": [{"text": text} for text in TEXTS]},
    ]
    answers = [ask(client, form) for form in forms]
    assert [answer.status_code for answer in answers] == [200] * 4
    (predictions, *others) = [answer.json()["predictions"] for answer in answers]
    assert others == [predictions] * 3 and len(predictions) == 2
    assert {row["label"] for row in predictions} <= {"no", "maybe", "yes"}
    assert client.get("/ping").status_code == 200


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ("", 400, "the body is not JSON"),
        ("{", 400, "the body is not JSON"),
        ("[" * 100_000 + "]" * 100_000, 400, "nested too deep"),
        ('{"inputs": ' + "[" * 100_000, 400, "nested too deep"),
        (b"\xff\xfe", 400, "the body is not JSON"),
        ("[]", 400, "the body needs one of inputs, dataframe_split"),
        ("{}", 400, "the body needs one of inputs"),
        ('{"inputs": ["a"], "dataframe_records": []}', 400, "the body needs one of"),
        ('{"inputs": 7}', 422, "inputs: allowed: a list of texts"),
        ('{"inputs": []}', 422, "0 rows; allowed: 1 to"),
        ('{"inputs": [7]}', 422, r"text[0]: int is no text"),
        ('{"inputs": ["a", null]}', 422, r"text[1]: NoneType is no text"),
        ('{"inputs": ["\\ud800"]}', 422, "half of a character"),
        ('{"inputs": {"txt": ["a"]}}', 422, "no column text; the model takes text"),
        ('{"inputs": {"text": {"0": "a"}}}', 422, "inputs: allowed: a list of texts"),
        ('{"dataframe_split": {"columns": ["text"], "data": [["a", "b"]]}}', 422, "data[0] is no list of 1 cells"),
        ('{"dataframe_split": []}', 422, "dataframe_split: allowed: an object with columns"),
        ('{"dataframe_records": ["a"]}', 422, "dataframe_records: allowed: a list of objects"),
        ('{"dataframe_records": [{"text": "a"}, {"txt": "a"}]}', 422, "dataframe_records[1]: its columns"),
    ],
)
def test_what_cannot_be_answered_is_a_sentence(client: TestClient, body, status: int, said: str) -> None:
    answer = client.post("/invocations", content=body, headers={"Content-Type": "application/json"})
    message = answer.json()["message"]
    assert (answer.status_code, said in message) == (status, True), answer.text[:200]
    assert "\n" not in message and len(message) < 200


def test_a_request_of_another_kind_or_too_large_is_refused(client: TestClient, monkeypatch) -> None:
    answer = client.post("/invocations", content="text\na\n", headers={"Content-Type": "text/csv"})
    assert answer.status_code == 415 and "text/csv; allowed: application/json" in answer.json()["message"]
    monkeypatch.setattr(server, "MOST_BYTES", 100)
    assert ask(client, {"inputs": ["a" * 100]}).status_code == 413
    monkeypatch.setattr(server, "MOST_ROWS", 2)
    assert ask(client, {"inputs": ["a"] * 3}).status_code == 422
    assert client.get("/invocations").status_code == 405 and client.post("/nowhere").status_code == 404


def test_a_network_whose_answers_are_no_numbers_is_a_sentence(served_folder: Path) -> None:
    damaged = TextClassifier(served_folder)
    damaged.forward = lambda *tokens: np.full((len(tokens[0]), 3), np.nan, np.float32)
    answer = ask(TestClient(server.app(damaged)), {"inputs": TEXTS})
    assert answer.status_code == 500
    assert f"{served_folder}: 2 of 2 rows have logits that are not finite" in answer.json()["message"]


def test_a_client_that_leaves_while_it_sends_is_no_error(served_folder: Path) -> None:
    sent = []

    async def receive() -> dict:
        return {"type": "http.disconnect"}

    async def send(message: dict) -> None:
        sent.append(message)

    scope = {"type": "http", "http_version": "1.1", "method": "POST", "path": "/invocations", "query_string": b""}
    scope["headers"] = [(b"content-type", b"application/json")]
    asyncio.run(server.app(TextClassifier(served_folder))(scope, receive, send))
    assert sent[0]["status"] == 400


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
)


@given(st.sampled_from(server.FORMS), anything)
def test_any_json_is_texts_or_a_sentence(form: str, value: object) -> None:
    """Never another exception, which would be a 500."""
    try:
        (texts,) = server.asked(json.dumps({form: value}).encode(), ["text"])
    except server.Refused as refused:
        assert 400 <= refused.status < 500 and str(refused)
    else:
        assert texts and all(isinstance(text, str) for text in texts)
