"""Serve rerank: a query and documents in, the documents' order out."""

import uuid

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mlxd.protocol import rerank as wire
from mlxd.protocol.errors import InternalError, InvalidRequest, UnsupportedField
from mlxd.workers.api.wire import json_response, unless_gone
from mlxd.workers.embedding.rows import Row
from mlxd.workers.embedding.scorers import Scorer
from mlxd.workers.engine import account
from mlxd.workers.jobs.desk import Desk


def routes() -> list[Route]:
    """Return the routes of a reranker; they read `app.state.scorer`."""
    return [Route("/v1/rerank", create, methods=["POST"])]


async def create(request: Request) -> Response:
    """Answer `POST /v1/rerank`."""
    body = wire.decode(await request.body())
    scorer: Scorer = request.app.state.scorer
    if body.instruction and not scorer.takes_instruction:
        raise UnsupportedField("instruction", "is not what this model was made for")
    rows = await run_in_threadpool(_rows, scorer, body)
    desk: Desk[list[Row], list[float]] = request.app.state.engine
    account.current().input_tokens += sum(map(len, rows))
    parts = await unless_gone(request, lambda: desk.answer(rows))
    if len(parts) != 1:
        raise InternalError("the model gave no scores")
    return json_response(answer(body, parts[0], rows, request.app.state.spec.model_id))


def _rows(scorer: Scorer, body: wire.RerankRequest) -> list[Row]:
    if not body.query:
        raise InvalidRequest("query: expected a text, got an empty one", field="query")
    rows = []
    for number, text in enumerate(wire.texts(body)):
        field = f"documents[{number}]"
        if not text:
            raise InvalidRequest(f"{field}: expected a text, got an empty one", field=field)
        rows.append(scorer.row(body.query, text, body.instruction, field))
    return rows


def answer(
    body: wire.RerankRequest, scores: list[float], rows: list[Row], model: str
) -> wire.Rerank:
    """Return the response: the best first, equals in the order they came in."""
    texts = wire.texts(body)
    order = sorted(range(len(scores)), key=lambda number: -scores[number])
    tokens = sum(map(len, rows))
    return wire.Rerank(
        id=f"rerank-{uuid.uuid4().hex}",
        model=model,
        results=[
            wire.RerankResult(
                index=number,
                relevance_score=scores[number],
                document=wire.Document(texts[number]) if body.return_documents else None,
            )
            for number in order[: body.top_n]
        ],
        usage=wire.RerankUsage(prompt_tokens=tokens, total_tokens=tokens),
    )
