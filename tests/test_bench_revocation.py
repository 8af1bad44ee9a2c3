"""The bench of revocation runs, for a few connections: its figures are looked at by people."""

import shutil

import pytest

from bench.contenders import SASGATE
from bench.page import around
from bench.peers import apache, nginx
from bench.peers.everyone import PROGRAMS
from bench.revocation import asking, cutting
from bench.revocation.__main__ import MARK
from bench.revocation.asking import NGINX_CACHE, Bench
from bench.revocation.cutting import BUSY, IDLE, NEW, OTHER, UNDER_WAY, Cuts, Fate, Watch
from bench.revocation.report import report, seconds_to_cut
from processes import CHECKOUT
from sasgate.lab.pki import Lab
from sasgate.lab.processes import Ending


@pytest.fixture(scope="module")
def bench(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    for name in ("nginx", "Apache"):
        if PROGRAMS[name].found() is None:
            pytest.skip(f"{name} is not installed: apt-get install {PROGRAMS[name].package}")
    folder = tmp_path_factory.mktemp("revocation")
    # Its responder's switches are in the lab's folder.
    shutil.copytree(lab.directory, folder / "lab")
    return Bench(Lab.open(folder / "lab"), folder, Ending(), 1, 2, lambda _: None)


@pytest.fixture(scope="module")
def answers(bench: Bench) -> asking.Answers:
    return asking.measure(bench)


@pytest.fixture(scope="module")
def cuts(bench: Bench) -> Cuts:
    told = cutting.measure(Watch(bench, 10.0, 9.0, ("sasgate",), told=(True,)))
    untold = cutting.measure(Watch(bench, 1.0, 1.5, ("nginx",), told=(False,)))
    return Cuts(1, 10.0, 9.0, {**told.fates, **untold.fates})


def test_everybody_asks_about_a_client_that_is_new(answers: asking.Answers) -> None:
    assert {name: each[0].questions_first for name, each in answers.with_ocsp.items()} == {
        SASGATE: 1,
        nginx.NAME: 1,
        NGINX_CACHE: 1,
        apache.NAME: 1,
    }


def test_who_has_no_cache_asks_again(answers: asking.Answers) -> None:
    asked = {name: each[0].questions_following for name, each in answers.with_ocsp.items()}
    assert asked == {SASGATE: 0, nginx.NAME: 1, NGINX_CACHE: 0, apache.NAME: 1}


def test_nobody_asks_where_lists_are_enough(answers: asking.Answers) -> None:
    assert {each[0].questions_first for each in answers.without.values()} == {0}


def test_the_gateway_cuts_the_revoked_client_and_nobody_else(cuts: Cuts) -> None:
    (fates,) = cuts.fates["sasgate", True]
    ended = {kind for kind, each in fates.items() if each.end is not None and not each.answered}
    assert ended == {IDLE, BUSY, UNDER_WAY, NEW}
    assert seconds_to_cut(cuts) is not None


def test_nginx_goes_on_as_long_as_nobody_tells_it(cuts: Cuts) -> None:
    (fates,) = cuts.fates["nginx", False]
    assert {fates[kind] for kind in (IDLE, BUSY, NEW, OTHER)} == {Fate(None)}
    assert fates[UNDER_WAY].answered


def test_the_report_says_all_of_it(answers: asking.Answers, cuts: Cuts) -> None:
    text = "\n".join(report(answers, cuts, "0.0, 0.0"))
    assert "| nginx | not told | goes on | goes on | got its answer | goes on | goes on |" in text
    assert "| sasgate | told | cut after " in text
    assert "nginx with ssl_ocsp_cache (OpenSSL " in text


def test_a_connection_that_outlives_the_watch_has_no_time() -> None:
    fates = {kind: Fate(1.0) for kind in (IDLE, BUSY)} | {UNDER_WAY: Fate(2.0, answered=True)}
    assert seconds_to_cut(Cuts(1, 1.0, 1.0, {("sasgate", True): (fates,)})) is None


def test_the_page_has_a_place_for_it() -> None:
    before, after = around(CHECKOUT / "docs/performance.md", MARK)
    assert "make bench-revocation" in before
    assert after
