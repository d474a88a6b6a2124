"""A short run of `tests/fuzz/http_api.py`: odd questions, made of the API's own schema."""

from __future__ import annotations

import pytest

pytest.importorskip("schemathesis")

from fuzz.http_api import ask, serving


@pytest.mark.filterwarnings("ignore")  # of libraries that are not ours
def test_no_question_is_answered_by_an_error_of_the_server() -> None:
    with serving() as (client, there):
        there |= {"model": ["meso4"], "name": ["meso4", "mine"]}  # others take time to load
        answers = ask(client, there, cases=92, number=20261125)
    statuses = {status for _, status in answers}
    assert {200, 404, 422} <= statuses
    assert len({route for route, _ in answers}) > 40
