"""Progress reaches the user while tiles are blended, and a cancel takes effect within one tile."""

from tilework.blending.layout import TileLayout
from tilework.tests.host.prompts import node, roundtrip, source


def test_blending_reports_every_tile(follow):
    messages = follow(roundtrip(source(700, 700, seed=11), tile=64, overlap=16))
    assert messages[-1][0] == "execution_success"
    totals = {data["max"] for kind, data in messages if kind == "progress" and data["node"] == "4"}
    assert totals == {len(TileLayout.grid(700, 700, 64, 64, 16, 8))}


def test_cancel_stops_between_tiles(follow, server):
    prompt = roundtrip(source(300, 300, seed=12), via=node("TileworkTestSlow", image=["2", 0], seconds=2.0), tile=128, overlap=32)
    sent = []

    async def cancel(session, kind, data):
        if kind == "executing" and data.get("node") == "3" and not sent:
            sent.append(data["prompt_id"])
            async with session.post(server.url + "/interrupt") as answer:
                assert answer.status == 200

    messages = follow(prompt, on_message=cancel)
    assert sent and messages[-1][0] == "execution_interrupted"
    assert not any(kind == "executed" and data["node"] == "4" for kind, data in messages)
