"""A network behind HTTP: MLflow's protocol, with a sentence and a 4xx for every request that it cannot answer.

``POST /invocations`` takes ``{"inputs": [...]}``, ``{"inputs": {"text": [...]}}``, ``{"dataframe_split": {"columns":
[...], "data": [[...]]}}`` or ``{"dataframe_records": [{...}]}`` and answers ``{"predictions": [{...}]}``; ``GET /ping``
says that the network is loaded. Needs neither MLflow nor Paddle.
"""

from __future__ import annotations

import json
from typing import Any

from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, Response
from starlette.requests import ClientDisconnect

from ofa.deploy.serving import TextClassifier, columns, texts_of
from ofa.errors import UserError

MOST_BYTES, MOST_ROWS = 16 * 2**20, 10_000  # of a request
FORMS = ("inputs", "dataframe_split", "dataframe_records")
TOO_LARGE, UNPROCESSABLE, UNSUPPORTED, BAD, FAILED = 413, 422, 415, 400, 500


class Refused(Exception):
    """A request that is not answered: its status and why."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


def app(classifier: TextClassifier) -> FastAPI:
    """The application to be run by an ASGI server."""
    served = FastAPI(title="ofa", docs_url=None, redoc_url=None, openapi_url=None)
    names = columns(classifier.settings["pair"])

    @served.get("/ping")
    @served.get("/health")
    async def ping() -> Response:
        return Response("\n", media_type="application/json")

    @served.post("/invocations")
    async def invocations(request: Request) -> Response:
        try:
            texts = asked(await _body(request), names)
            answers = await run_in_threadpool(_answers, classifier, dict(zip(names, texts, strict=True)))
        except Refused as refused:
            return JSONResponse({"error_code": "BAD_REQUEST", "message": str(refused)}, refused.status)
        except ClientDisconnect:  # while it was sending: nobody reads an answer
            return Response(status_code=BAD)
        except UserError as error:  # of the network, not of the request
            return JSONResponse({"error_code": "INTERNAL_ERROR", "message": str(error)}, FAILED)
        return JSONResponse({"predictions": answers})

    return served


def _answers(classifier: TextClassifier, table: dict[str, list[str]]) -> list[dict]:
    return classifier.predict(table).to_dict("records")


async def _body(request: Request) -> bytes:
    """The body, read no further than allowed."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Refused(UNSUPPORTED, f"Content-Type is {kind or 'missing'}; allowed: application/json")
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MOST_BYTES:
            raise Refused(TOO_LARGE, f"the request is larger than {MOST_BYTES} bytes; send it in parts")
    return bytes(body)


def asked(body: bytes, names: list[str]) -> list[list[str]]:
    """The texts of a request, a list for each of the columns ``names``.

    Raises:
        Refused: if there are none, or they are not such texts.
    """
    try:
        request = json.loads(body)
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError is a ValueError
        why = "it is nested too deep" if isinstance(error, RecursionError) else str(error)
        raise Refused(BAD, f"the body is not JSON: {why}") from None
    given = [form for form in FORMS if isinstance(request, dict) and form in request]
    if len(given) != 1:
        raise Refused(BAD, f"the body needs one of {', '.join(FORMS)}, as an object")
    try:
        texts = texts_of(_FORMS[given[0]](request[given[0]]), names)
    except UserError as error:
        raise Refused(UNPROCESSABLE, str(error)) from None
    if not 1 <= len(texts[0]) <= MOST_ROWS:
        raise Refused(UNPROCESSABLE, f"{len(texts[0])} rows; allowed: 1 to {MOST_ROWS}")
    return texts


def _inputs(found: Any) -> Any:
    if isinstance(found, dict) and all(isinstance(column, list | str) for column in found.values()):
        return found
    if isinstance(found, list | str):
        return found
    raise UserError("inputs: allowed: a list of texts, or an object with a list for each column")


def _split(found: Any) -> dict[str, list]:
    named, rows = (found.get("columns"), found.get("data")) if isinstance(found, dict) else (None, None)
    if not isinstance(named, list) or not isinstance(rows, list) or not all(isinstance(name, str) for name in named):
        raise UserError("dataframe_split: allowed: an object with columns, a list of names, and data, a list of rows")
    for number, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != len(named):
            raise UserError(f"dataframe_split: data[{number}] is no list of {len(named)} cells")
    return {name: [row[place] for row in rows] for place, name in enumerate(named)}


def _records(found: Any) -> dict[str, list]:
    if not isinstance(found, list) or not found or not all(isinstance(row, dict) for row in found):
        raise UserError("dataframe_records: allowed: a list of objects, one at least")
    for number, row in enumerate(found):
        if row.keys() != found[0].keys():
            raise UserError(f"dataframe_records[{number}]: its columns are not those of the first row")
    return {name: [row[name] for row in found] for name in found[0]}


_FORMS = {"inputs": _inputs, "dataframe_split": _split, "dataframe_records": _records}
