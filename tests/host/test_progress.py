"""Progress reaches the user while tiles are blended, and a cancel takes effect within one tile."""

import pytest
from tilework.blending.layout.tile_layout import TileLayout
from tilework.tests.host.prompts import node, roundtrip, source


def test_blending_reports_every_tile(follow):
    messages = follow(roundtrip(source(700, 700, seed=11), tile=64, overlap=16))
    assert messages[-1][0] == "execution_success"
    totals = {data["max"] for kind, data in messages if kind == "progress" and data["node"] == "4"}
    assert totals == {len(TileLayout.grid(700, 700, 64, 64, 16, 8))}


def test_auto_says_how_much_there_is_to_do_as_soon_as_it_knows(follow):
    tiles = len(TileLayout.grid(300, 300, 128, 128, 32, 8))
    for levels, rounds in ((0.0, 1), (6.0, 1 + 3)):
        via = node("TileworkTestLighten", images=["2", 0], index=4, levels=levels)
        messages = follow(roundtrip(source(300, 300, seed=13, kind="smooth"), via=via, method="auto", tile=128, overlap=32))
        assert messages[-1][0] == "execution_success"
        told = [(data["value"], data["max"]) for kind, data in messages if kind == "progress" and data["node"] == "4"]
        assert told[-1] == (rounds * tiles, rounds * tiles) and {most for _, most in told} <= {tiles, rounds * tiles}


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


@pytest.mark.parametrize(("channels", "batch", "rounds"), [(3, 1, 1 + 3), (3, 4, 1 + 3 * 4), (4, 2, 1 + 3 * 2), (1, 3, 1 + 3)])
def test_gradient_announces_as_many_rounds_as_it_makes(follow, channels, batch, rounds):
    messages = follow(
        roundtrip(source(200, 120, batch=batch, channels=channels, seed=14, kind="smooth"), method="gradient", tile=96, overlap=32)
    )
    assert messages[-1][0] == "execution_success"
    told = [(data["value"], data["max"]) for kind, data in messages if kind == "progress" and data["node"] == "4"]
    all_of_them = rounds * len(TileLayout.grid(120, 200, 96, 96, 32, 8))
    assert told[-1] == (all_of_them, all_of_them) and {most for _, most in told} == {all_of_them}
