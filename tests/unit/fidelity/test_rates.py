"""How often Fidelity Check is right on faithful enlargements: fixed crops and seeds. Figures with `pytest -s`.

`--release` takes all 24 crops and every kind; without it a few crops of two kinds. Networks are in benchmarks/fidelity_rates.py.
"""

import pytest
from tilework.blending.fidelity.check import check_fidelity
from tilework.tests.unit.fidelity.fidelity_scenes import FAITHFUL, FAULTS, REPORTED, Box, enlarged, faulty, scene

FEWER, FEWER_KINDS = (5, 20), ("bicubic", "jpeg 95")
MOST_BLAMED, LEAST_FOUND = 0.02, 0.95


@pytest.fixture(scope="module")
def scenes(request):
    crops = REPORTED if request.config.getoption("--release") else [REPORTED[index] for index in FEWER]
    return {crop: scene(*crop) for crop in crops}


@pytest.fixture(params=FAITHFUL)
def how(request):
    if request.param not in FEWER_KINDS and not request.config.getoption("--release"):
        pytest.skip("with --release")
    return request.param


def test_faithful_results_pass_and_faults_are_found_where_they_are(scenes, how):
    blamed, found, elsewhere = 0, dict.fromkeys(FAULTS, 0), 0
    for one in scenes.values():
        result, altered = (enlarged(source, how, 1) for source in (one.source, one.altered))
        blamed += not check_fidelity(result, one.source).passed
        for kind in FAULTS:
            spoilt, box = faulty(result, altered, one, kind)
            places = check_fidelity(spoilt, one.source).failing
            found[kind] += any(not Box(*place.box).apart(box, 0) for place in places)
            elsewhere += any(Box(*place.box).apart(box, 0) for place in places)
    print(f"\n{how:9} of {len(scenes)}: blamed {blamed}, found {found}, elsewhere {elsewhere}", end="")
    assert blamed <= MOST_BLAMED * len(scenes)
    assert all(count >= LEAST_FOUND * len(scenes) for count in found.values()), found
    assert elsewhere <= MOST_BLAMED * len(scenes) * len(FAULTS)
