"""What the lab publishes by its switches: each list and each answer, judged as the gateway does."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from published import Desk
from sasgate.lab import trees
from sasgate.lab.enquiry import Enquiry, answered, entity_tag, last_modified
from sasgate.lab.pki import Lab
from sasgate.lab.publication import Publication, Served
from sasgate.lab.switchboard import NotRevocable, Switchboard, UnusableSwitches
from sasgate.lab.switches import DAY, ListMode, OCSPMode, Signer
from sasgate.revocation.crl import (
    Held,
    LoadedList,
    Succession,
    VerifiedList,
    supersedes,
    verify_list,
)
from sasgate.revocation.ocsp import NONCE_SIZE, Asked, HashName, build_request, verify_answer
from sasgate.revocation.ocsp_signer import Signers
from sasgate.revocation.ocsp_words import Answer, AnswerRefused, CertStatus, Problem
from sasgate.revocation.refusal import ListRefused, Refusal


ORG, ROOT = trees.ORG_TEST, trees.ROOT_TEST
NONCE = b"n" * NONCE_SIZE


@pytest.fixture
def desk(lab: Lab, tmp_path: Path) -> Desk:
    return Desk.of(lab, tmp_path)


def loaded(desk: Desk, served: Served, ca: str = ORG) -> LoadedList:
    issuer = desk.board.lab.authorities[ca].certificate
    return verify_list(served.body, [issuer], desk.wall())


def facts(desk: Desk, ca: str = ORG) -> VerifiedList:
    return loaded(desk, desk.list(ca), ca).facts


def held(known: VerifiedList) -> Held:
    return Held(known.number, known.this_update, known.signed_sha256)


def serial(lab: Lab, client: str) -> int:
    return lab.clients[client].certificate.serial_number


class TestEditions:
    def test_a_new_lab_has_published_an_empty_list_of_each_ca(self, desk: Desk) -> None:
        for ca in trees.IGC:
            known = facts(desk, ca)
            assert (known.number, known.entries) == (1, 0)
            assert known.next_update - known.this_update == timedelta(days=6)

    def test_a_revocation_is_a_list_of_now_with_the_next_number(self, desk: Desk, lab: Lab) -> None:
        desk.wall.forward(hours=5)
        desk.board.revoke("revoked")
        known = loaded(desk, desk.list(ORG))
        assert known.facts.number == 2
        assert known.facts.this_update == desk.wall().replace(microsecond=0)
        assert serial(lab, "revoked") in known.serials

    def test_a_revocation_leaves_the_lists_of_the_others_as_they_are(self, desk: Desk) -> None:
        before = {ca: desk.list(ca).body for ca in trees.IGC if ca != ORG}
        desk.wall.forward(hours=5)
        desk.board.revoke("revoked")
        assert {ca: desk.list(ca).body for ca in trees.IGC if ca != ORG} == before

    def test_s21_a_client_is_on_the_list_of_its_own_issuer_only(self, desk: Desk, lab: Lab) -> None:
        desk.board.revoke("same-serial")
        assert serial(lab, "same-serial") == serial(lab, "revoked")
        assert serial(lab, "revoked") in loaded(desk, desk.list(trees.ORG), trees.ORG).serials
        assert facts(desk).entries == 0

    def test_a_ca_is_on_the_list_of_its_root(self, desk: Desk, lab: Lab) -> None:
        desk.board.revoke(ORG)
        revoked = lab.authorities[ORG].certificate.serial_number
        assert revoked in loaded(desk, desk.list(ROOT), ROOT).serials

    def test_who_is_revoked_already_makes_no_list(self, desk: Desk) -> None:
        desk.board.revoke("revoked")
        desk.board.revoke("revoked")
        assert facts(desk).number == 2

    def test_who_comes_off_the_list_makes_a_new_one(self, desk: Desk, lab: Lab) -> None:
        desk.board.revoke("revoked", "recette")
        desk.board.unrevoke("revoked")
        known = loaded(desk, desk.list(ORG))
        assert known.facts.number == 4
        assert serial(lab, "revoked") not in known.serials
        assert serial(lab, "recette") in known.serials

    def test_who_is_on_no_list_makes_none_by_coming_off(self, desk: Desk) -> None:
        desk.board.unrevoke("revoked")
        assert facts(desk).number == 1

    def test_a_certificate_outside_the_catalogue(self, desk: Desk) -> None:
        desk.board.revoke_serial(ORG, 0xABC)
        assert 0xABC in loaded(desk, desk.list(ORG)).serials

    @pytest.mark.parametrize("name", ["self-signed", "other-ca", ROOT, "nobody", "../recette", ""])
    def test_who_is_on_nobodys_list_is_refused_and_nothing_changes(
        self, name: str, desk: Desk
    ) -> None:
        before = desk.board.path.read_bytes()
        for change in (desk.board.revoke, desk.board.unrevoke):
            with pytest.raises(NotRevocable, match="^" + (name or ":")):
                change("recette", name)
        assert desk.board.path.read_bytes() == before

    def test_a_new_list_with_the_same_entries(self, desk: Desk, lab: Lab) -> None:
        desk.board.revoke("revoked")
        desk.board.publish(ORG)
        known = loaded(desk, desk.list(ORG))
        assert known.facts.number == 3
        assert serial(lab, "revoked") in known.serials
        assert facts(desk, ROOT).number == 1

    def test_a_validity_of_seconds_holds_for_the_lists_that_follow(self, desk: Desk) -> None:
        desk.board.publish(validity=20)
        desk.board.revoke("revoked")
        known = facts(desk)
        assert known.next_update - known.this_update == timedelta(seconds=20)

    def test_a_list_that_ran_out_gets_a_successor_when_publishing_begins(self, desk: Desk) -> None:
        desk.board.publish(ORG, validity=20)
        desk.wall.forward(seconds=60)
        desk.board.open()
        assert facts(desk).number == 3
        assert facts(desk, ROOT).number == 1

    def test_a_list_that_is_meant_to_be_over_gets_none(self, desk: Desk) -> None:
        desk.board.lists(ListMode.EXPIRED)
        desk.wall.forward(days=30)
        desk.board.open()
        assert facts(desk).number == 2

    def test_the_same_switches_give_the_same_list_to_whoever_reads_them(
        self, desk: Desk, lab: Lab
    ) -> None:
        desk.board.revoke("revoked")
        assert Publication(lab).list(ORG, desk.board.read()) == desk.list(ORG)


class TestLists:
    """Each mode, after a list on which `revoked` is was taken."""

    @pytest.fixture
    def last(self, desk: Desk) -> Held:
        desk.wall.forward(hours=1)
        desk.board.revoke("revoked")
        taken = held(facts(desk))
        desk.wall.forward(hours=1)
        return taken

    @pytest.mark.parametrize(
        ("mode", "succession"),
        [
            (ListMode.GOOD, Succession.NEWER),
            (ListMode.EXPIRED, Succession.NEWER),
            (ListMode.OLD, Succession.OLDER),
            (ListMode.SAME_NUMBER, Succession.SAME_NUMBER_OTHER_CONTENT),
            (ListMode.LATE, Succession.SAME),
        ],
    )
    def test_s19_how_the_list_stands_to_the_one_before(
        self, mode: ListMode, succession: Succession, desk: Desk, last: Held
    ) -> None:
        desk.board.lists(mode)
        assert supersedes(facts(desk), last) is succession

    @pytest.mark.parametrize(
        ("mode", "refusal"),
        [(ListMode.FORGED, Refusal.BAD_SIGNATURE), (ListMode.DELTA, Refusal.DELTA)],
    )
    def test_s18_s20_a_list_that_no_gateway_may_use(
        self, mode: ListMode, refusal: Refusal, desk: Desk, last: Held
    ) -> None:
        desk.board.lists(mode)
        with pytest.raises(ListRefused) as caught:
            loaded(desk, desk.list(ORG))
        assert caught.value.kind is refusal

    @pytest.mark.parametrize("mode", [ListMode.FORGED, ListMode.DELTA])
    def test_such_a_list_would_admit_the_revoked_under_a_higher_number(
        self, mode: ListMode, desk: Desk, last: Held
    ) -> None:
        desk.board.lists(mode)
        crl = x509.load_der_x509_crl(desk.list(ORG).body)
        number = crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
        assert (number, len(crl)) == (last.number + 1, 0)

    def test_s19_the_old_list_is_the_one_before(self, desk: Desk, lab: Lab) -> None:
        before = desk.list(ORG).body
        desk.board.revoke("revoked")
        desk.board.lists(ListMode.OLD)
        assert desk.list(ORG).body == before

    def test_s19_a_first_list_can_be_rolled_back_too(self, desk: Desk) -> None:
        first = held(facts(desk))
        desk.board.lists(ListMode.OLD)
        assert supersedes(facts(desk), first) is Succession.OLDER

    def test_s19_another_list_under_the_number_of_an_empty_one(self, desk: Desk) -> None:
        first = held(facts(desk))
        desk.board.lists(ListMode.SAME_NUMBER)
        assert supersedes(facts(desk), first) is Succession.SAME_NUMBER_OTHER_CONTENT

    def test_an_expired_list_has_run_out_already_and_still_revokes(
        self, desk: Desk, last: Held, lab: Lab
    ) -> None:
        desk.board.lists(ListMode.EXPIRED)
        known = loaded(desk, desk.list(ORG))
        assert known.facts.expired(desk.wall())
        assert serial(lab, "revoked") in known.serials

    def test_lists_that_follow_an_expired_one_are_expired_until_told_otherwise(
        self, desk: Desk
    ) -> None:
        desk.board.lists(ListMode.EXPIRED)
        desk.board.revoke("recette")
        desk.wall.forward(seconds=1)
        assert facts(desk).expired(desk.wall())
        desk.board.lists(ListMode.GOOD)
        assert not facts(desk).expired(desk.wall())

    def test_a_huge_list_has_as_many_entries_more(self, desk: Desk, last: Held, lab: Lab) -> None:
        desk.board.lists(ListMode.HUGE, ORG, filler=1000)
        known = loaded(desk, desk.list(ORG))
        assert supersedes(known.facts, last) is Succession.NEWER
        assert known.facts.entries == 1001
        assert serial(lab, "revoked") in known.serials

    def test_a_huge_list_is_one_of_100000_entries_unless_told_otherwise(self, desk: Desk) -> None:
        desk.board.lists(ListMode.HUGE, ORG)
        assert facts(desk).entries == 100_000

    def test_after_a_huge_list_a_good_one_is_small(self, desk: Desk, last: Held) -> None:
        desk.board.lists(ListMode.HUGE, ORG, filler=1000)
        huge = held(facts(desk))
        desk.board.lists(ListMode.GOOD, ORG)
        assert facts(desk).entries == 1
        assert supersedes(facts(desk), huge) is Succession.NEWER

    def test_a_late_list_is_late_by_the_option(self, desk: Desk) -> None:
        assert desk.list(ORG).delay == 0
        desk.board.lists(ListMode.LATE, late=7)
        assert desk.list(ORG).delay == 7

    @pytest.mark.parametrize(
        ("mode", "status", "kind"),
        [
            (ListMode.HTML, 200, "text/html"),
            (ListMode.ERROR, 500, "text/plain"),
            (ListMode.NONE, None, "text/plain"),
        ],
    )
    def test_s25_what_is_no_list_at_all(
        self, mode: ListMode, status: int | None, kind: str, desk: Desk
    ) -> None:
        desk.board.lists(mode)
        served = desk.list(ORG)
        assert (served.status, served.media_type, served.modified) == (status, kind, None)
        with pytest.raises(ListRefused):
            loaded(desk, served)

    @pytest.mark.parametrize("mode", ListMode)
    def test_the_lists_of_cas_that_were_not_named_stay(self, mode: ListMode, desk: Desk) -> None:
        before = desk.list(ROOT)
        desk.board.lists(mode, ORG, trees.ORG, filler=10)
        assert desk.list(ROOT) == before
        assert desk.list(ORG).mode == desk.list(trees.ORG).mode == mode.value


class TestResponder:
    def question(
        self,
        desk: Desk,
        client: str = "recette",
        name: HashName = "sha1",
        nonce: bytes | None = None,
        ca: str = ORG,
    ) -> tuple[bytes, Asked]:
        leaf = desk.board.lab.clients[client].certificate
        issuer = desk.board.lab.authorities[ca].certificate
        asked = Asked.about(leaf, issuer, nonce, nonce_required=nonce is not None)
        return build_request(leaf, issuer, name, nonce), asked

    def judged(self, desk: Desk, client: str = "recette", **more: Any) -> Answer:
        question, asked = self.question(desk, client, **more)
        signers = Signers(desk.board.lab.authorities[more.get("ca", ORG)].certificate)
        return verify_answer(desk.answer(question).body, asked, signers, desk.wall())

    @pytest.mark.parametrize("signer", Signer)
    @pytest.mark.parametrize("name", ["sha1", "sha256"])
    def test_the_truth_about_everybody(self, name: HashName, signer: Signer, desk: Desk) -> None:
        desk.board.ocsp(OCSPMode.GOOD, signer=signer)
        desk.board.revoke("revoked")
        desk.wall.forward(minutes=5)
        assert self.judged(desk, "recette", name=name).status is CertStatus.GOOD
        answer = self.judged(desk, "revoked", name=name)
        assert answer.status is CertStatus.REVOKED
        assert (answer.delegate is None) == (signer is Signer.CA)

    def test_who_comes_off_the_list_is_good_again(self, desk: Desk) -> None:
        desk.board.revoke("recette")
        desk.board.unrevoke("recette")
        assert self.judged(desk).status is CertStatus.GOOD

    def test_production_is_answered_by_its_own_ca(self, desk: Desk) -> None:
        desk.board.revoke("production")
        answer = self.judged(desk, "production", ca=trees.ORG)
        assert answer.status is CertStatus.REVOKED

    @pytest.mark.parametrize("mode", [ListMode.OLD, ListMode.HTML, ListMode.NONE])
    def test_the_truth_does_not_depend_on_what_is_served_as_list(
        self, mode: ListMode, desk: Desk
    ) -> None:
        desk.board.revoke("revoked")
        desk.board.lists(mode)
        assert self.judged(desk, "revoked").status is CertStatus.REVOKED

    def test_s31_the_nonce_comes_back(self, desk: Desk) -> None:
        assert self.judged(desk, nonce=NONCE).status is CertStatus.GOOD

    def test_s31_the_nonce_is_left_out_by_option(self, desk: Desk) -> None:
        desk.board.ocsp(OCSPMode.GOOD, nonce=False)
        with pytest.raises(AnswerRefused) as caught:
            self.judged(desk, nonce=NONCE)
        assert caught.value.kind is Problem.NO_NONCE

    @pytest.mark.parametrize(
        ("mode", "problem"),
        [
            (OCSPMode.WRONGLY_SIGNED, Problem.UNTRUSTED_SIGNER),
            (OCSPMode.STALE, Problem.OUT_OF_DATE),
            (OCSPMode.TRY_LATER, Problem.TRY_LATER),
            (OCSPMode.HTML, Problem.NOT_AN_ANSWER),
            (OCSPMode.ERROR, Problem.NOT_AN_ANSWER),
            (OCSPMode.NONE, Problem.NOT_AN_ANSWER),
        ],
    )
    def test_s29_s31_s32_an_answer_that_no_gateway_may_use(
        self, mode: OCSPMode, problem: Problem, desk: Desk
    ) -> None:
        desk.board.ocsp(mode)
        with pytest.raises(AnswerRefused) as caught:
            self.judged(desk)
        assert caught.value.kind is problem

    @pytest.mark.parametrize("mode", [OCSPMode.WRONGLY_SIGNED, OCSPMode.STALE])
    def test_a_lie_says_good_of_the_revoked(self, mode: OCSPMode, desk: Desk) -> None:
        desk.board.revoke("revoked")
        desk.board.ocsp(mode)
        question, _ = self.question(desk, "revoked")
        answer = ocsp.load_der_ocsp_response(desk.answer(question).body)
        assert answer.certificate_status is ocsp.OCSPCertStatus.GOOD

    def test_unknown_is_rightly_signed(self, desk: Desk) -> None:
        desk.board.ocsp(OCSPMode.UNKNOWN)
        assert self.judged(desk).status is CertStatus.UNKNOWN

    def test_a_late_answer_is_the_truth_after_the_optional_time(self, desk: Desk) -> None:
        desk.board.ocsp(OCSPMode.LATE, late=4)
        assert self.judged(desk).status is CertStatus.GOOD
        assert desk.answer(self.question(desk)[0]).delay == 4

    @pytest.mark.parametrize(
        ("mode", "status"),
        [(OCSPMode.ERROR, 500), (OCSPMode.NONE, None), (OCSPMode.HTML, 200)],
    )
    def test_s32_what_http_says(self, mode: OCSPMode, status: int | None, desk: Desk) -> None:
        desk.board.ocsp(mode)
        assert desk.answer(self.question(desk)[0]).status == status

    def test_an_answer_lives_as_long_as_the_option_says(self, desk: Desk) -> None:
        desk.board.ocsp(OCSPMode.GOOD, validity=30)
        question, _ = self.question(desk)
        answer = ocsp.load_der_ocsp_response(desk.answer(question).body)
        assert answer.next_update_utc == desk.wall().replace(microsecond=0) + timedelta(seconds=30)

    @pytest.mark.parametrize("ca", [trees.SAME_NAME, trees.PERS_TEST, trees.OTHER_ORG])
    def test_s30_a_certificate_of_another_ca_is_not_answered_for(self, ca: str, desk: Desk) -> None:
        client, issuer = desk.board.lab.clients["recette"], desk.board.lab.authorities[ca]
        question = build_request(client.certificate, issuer.certificate, "sha1", None)
        answer = ocsp.load_der_ocsp_response(desk.answer(question).body)
        assert answer.response_status is ocsp.OCSPResponseStatus.UNAUTHORIZED

    @pytest.mark.parametrize("question", [b"", b"0", b"x" * 50_000, b"0\x03\x02\x01\x01"])
    def test_what_is_no_question(self, question: bytes, desk: Desk) -> None:
        answer = ocsp.load_der_ocsp_response(desk.answer(question).body)
        assert answer.response_status is ocsp.OCSPResponseStatus.MALFORMED_REQUEST

    def test_what_was_asked_about(self, desk: Desk, lab: Lab) -> None:
        for mode in OCSPMode:
            desk.board.ocsp(mode)
            served = desk.answer(self.question(desk)[0])
            assert (served.kind, served.mode) == ("ocsp", mode.value)
            assert (served.ca, served.serial) == (ORG, serial(lab, "recette"))


class TestFile:
    def test_all_that_is_set_is_read_again(self, desk: Desk) -> None:
        for mode in ListMode:
            desk.board.lists(mode, ORG, late=1.5, filler=7, validity=3 * DAY)
        for answer in OCSPMode:
            desk.board.ocsp(answer, late=0.5, validity=60, signer=Signer.CA, nonce=False)
        last = desk.board.revoke("revoked", ORG)
        assert Switchboard(desk.board.lab, desk.board.path).read() == last

    def test_each_step_is_read_as_it_was_returned(self, desk: Desk) -> None:
        for mode in ListMode:
            assert desk.board.lists(mode, ORG) == desk.board.read()

    def test_no_other_file_is_left_beside_it(self, desk: Desk) -> None:
        desk.board.revoke("revoked")
        assert [each.name for each in desk.board.path.parent.iterdir()] == ["publication.json"]

    def test_a_change_that_cannot_be_written_leaves_the_file_whole(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = desk.board.path.read_bytes()

        def full(*_: object, **__: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("os.replace", full)
        with pytest.raises(OSError, match="No space"):
            desk.board.revoke("revoked")
        assert desk.board.path.read_bytes() == before
        assert [each.name for each in desk.board.path.parent.iterdir()] == ["publication.json"]

    def test_the_default_place_is_in_the_lab(self, lab: Lab) -> None:
        assert Switchboard.of(lab).path == lab.directory / "publication.json"

    @pytest.mark.parametrize("text", ["", "{", "[]", "null", "7", "{}", '{"lists": {}}', "\udcff"])
    def test_a_file_of_something_else_is_named_with_the_way_out(
        self, text: str, desk: Desk
    ) -> None:
        desk.board.path.write_text(text, "utf-8", "surrogateescape")
        for use in (desk.board.read, desk.board.open, lambda: desk.board.revoke("revoked")):
            with pytest.raises(UnusableSwitches, match=r"publication.json: .*remove it"):
                use()

    @pytest.mark.parametrize(
        "change",
        [
            lambda lists: lists.pop("ACR-EL"),
            lambda lists: lists[ORG].update(mode="fair"),
            lambda lists: lists[ORG]["edition"].update(this_update="2026-01-01T00:00:00"),
            lambda lists: lists[ORG]["edition"].update(number="first"),
            lambda lists: lists[ORG]["edition"].update(revoked=[{"serial": "xyz"}]),
            lambda lists: lists[ORG].update(previous=3),
        ],
    )
    def test_a_damaged_file_is_named_with_the_way_out(
        self, change: Callable[[Any], object], desk: Desk
    ) -> None:
        document = json.loads(desk.board.path.read_text())
        change(document["lists"])
        desk.board.path.write_text(json.dumps(document))
        with pytest.raises(UnusableSwitches, match=r"publication.json: .*remove it"):
            desk.board.read()

    def test_a_file_that_is_a_folder(self, lab: Lab, tmp_path: Path) -> None:
        with pytest.raises(UnusableSwitches, match=str(tmp_path)):
            Switchboard(lab, tmp_path).read()


class TestEnquiry:
    """Paths, methods and validators."""

    def asked(self, desk: Desk, method: str, path: str, body: bytes = b"", **fields: str) -> Served:
        named = {name.replace("_", "-"): value for name, value in fields.items()}
        enquiry = Enquiry(method, path, named, body)
        return answered(enquiry, desk.publication, desk.board.read(), desk.wall())

    @pytest.mark.parametrize("ca", trees.IGC)
    def test_each_cas_list_and_certificate_are_at_the_paths_that_ans_uses(
        self, ca: str, desk: Desk, lab: Lab
    ) -> None:
        found = self.asked(desk, "GET", f"/CRL/{ca}.crl")
        assert x509.load_der_x509_crl(found.body).issuer == lab.authorities[ca].certificate.subject
        certificate = self.asked(desk, "GET", f"/AC/{ca}.cer").body
        assert certificate == lab.authorities[ca].certificate.public_bytes(Encoding.DER)

    @pytest.mark.parametrize(
        "path", ["/", "", "/CRL/", "/CRL/ACR-EL", "/crl/ACR-EL.crl", "/CRL/../lab.json", "/ocspx"]
    )
    def test_nothing_else_is_published(self, path: str, desk: Desk) -> None:
        assert self.asked(desk, "GET", path).status == 404

    @pytest.mark.parametrize("path", ["/CRL/ACR-EL.crl", "/AC/ACR-EL.cer", "/ocsp/x"])
    def test_nothing_can_be_written(self, path: str, desk: Desk) -> None:
        for method in ("PUT", "DELETE", "POST"):
            assert self.asked(desk, method, path).status == 405

    def test_who_has_the_list_by_its_tag_is_told_so(self, desk: Desk) -> None:
        tag = entity_tag(desk.list(ORG))
        path = f"/CRL/{ORG}.crl"
        for tags in (tag, f'"other", {tag}'):
            assert self.asked(desk, "GET", path, if_none_match=tags).status == 304

    def test_a_list_of_the_same_second_is_told_apart_by_its_tag(self, desk: Desk) -> None:
        first = desk.list(ORG)
        desk.board.revoke("revoked")
        fields = {"if_none_match": entity_tag(first), "if_modified_since": last_modified(first)}
        assert last_modified(desk.list(ORG)) == last_modified(first)
        assert self.asked(desk, "GET", f"/CRL/{ORG}.crl", **fields).status == 200  # type: ignore[arg-type]

    def test_who_has_the_list_by_its_date_is_told_so(self, desk: Desk) -> None:
        date = last_modified(desk.list(ORG))
        assert date is not None
        assert self.asked(desk, "GET", f"/CRL/{ORG}.crl", if_modified_since=date).status == 304

    @pytest.mark.parametrize("mode", [ListMode.OLD, ListMode.FORGED, ListMode.HTML, ListMode.GOOD])
    def test_who_has_the_last_list_is_given_any_other(self, mode: ListMode, desk: Desk) -> None:
        desk.board.revoke("revoked")
        desk.wall.forward(hours=1)
        tag = entity_tag(desk.list(ORG))
        desk.board.lists(mode)
        served = self.asked(desk, "GET", f"/CRL/{ORG}.crl", if_none_match=tag)
        assert (served.status, bool(served.body)) == (200, True)

    @pytest.mark.parametrize("kind", ["", "application/octet-stream", "text/html"])
    def test_a_question_of_another_type_is_not_read(self, kind: str, desk: Desk) -> None:
        assert self.asked(desk, "POST", "/ocsp", b"0", content_type=kind).status == 415

    @pytest.mark.parametrize("path", ["/ocsp/!", "/ocsp/MEow%", "/ocsp/MEo"])
    def test_a_path_that_is_no_base64(self, path: str, desk: Desk) -> None:
        assert self.asked(desk, "GET", path).status == 400


def test_the_delegates_certificate_has_the_responders_profile(desk: Desk, lab: Lab) -> None:
    issuer = lab.authorities[ORG].certificate
    question = build_request(lab.clients["recette"].certificate, issuer, "sha1", None)
    answer = ocsp.load_der_ocsp_response(desk.answer(question).body)
    (certificate,) = answer.certificates
    certificate.verify_directly_issued_by(issuer)
    assert isinstance(answer.signature_hash_algorithm, hashes.SHA256)
