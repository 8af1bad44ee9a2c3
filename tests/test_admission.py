"""`admission.judge`, each branch, and in the order of the design."""

from datetime import datetime, timedelta
from ipaddress import ip_address, ip_network

import pytest
from OpenSSL import SSL

from judged import (
    ELSEWHERE,
    ISSUER,
    LEAF,
    NOW,
    OTHER,
    PAIR,
    ROOT,
    SAS,
    identity,
    named,
    presented,
    rules,
    verdict,
)
from sasgate.admission import (
    ChainFault,
    Outcome,
    Presented,
    Verdict,
    Verify,
    address_admitted,
    judge,
)
from sasgate.identity import Identity, NamePair
from sasgate.settings import Denial, DeniedFingerprint, DeniedSerial


Code = SSL.X509VerificationCodes
SECOND = timedelta(seconds=1)


def word(given: Verdict) -> tuple[Outcome, Verify]:
    return given.outcome, given.verify


def is_401(given: Verdict, verify: Verify) -> bool:
    return word(given) == (Outcome.UNAUTHORIZED, verify)


def is_403(given: Verdict) -> bool:
    return word(given) == (Outcome.FORBIDDEN, Verify.SUCCESS)


class TestAdmitted:
    def test_a_good_client_of_the_environment(self) -> None:
        given = verdict()
        assert word(given) == (Outcome.ADMITTED, Verify.SUCCESS)
        assert (given.environment, given.identity) == ("recette", identity())

    def test_a_renewed_issuer_and_root_stand_beside_the_old_ones(self) -> None:
        both = rules(roots=frozenset({ROOT, b"new"}), issuers=frozenset({ISSUER, b"newer"}))
        assert verdict(presented(chain=(LEAF, b"newer", b"new")), both).outcome is Outcome.ADMITTED

    def test_without_a_filter_any_address_will_do(self) -> None:
        given = verdict(None, rules(addresses=None), peer=ELSEWHERE)
        assert given.outcome is Outcome.ADMITTED

    @pytest.mark.parametrize("edge", [identity().not_before, identity().not_after])
    def test_both_ends_of_validity_are_valid(self, edge: datetime) -> None:
        """RFC 5280, 4.1.2.5."""
        assert verdict(now=edge).outcome is Outcome.ADMITTED


class TestAddress:
    def test_one_that_no_environment_takes_is_a_401(self) -> None:
        assert is_401(verdict(peer=ELSEWHERE), Verify.NONE)

    def test_an_unknown_one_is_refused_even_without_a_filter(self) -> None:
        assert is_401(verdict(None, rules(addresses=None), peer=None), Verify.NONE)

    def test_an_empty_list_admits_nobody(self) -> None:
        assert is_401(verdict(None, rules(addresses=())), Verify.NONE)

    def test_a_mapped_one_is_the_ipv4_address_that_it_maps(self) -> None:
        """S44."""
        assert verdict(peer=ip_address(f"::ffff:{SAS}")).outcome is Outcome.ADMITTED

    @pytest.mark.parametrize(
        "peer", ["51.91.149.172", "51.91.149.174", "::51.91.149.173", "::ffff:51.91.149.174"]
    )
    def test_a_neighbour_is_refused(self, peer: str) -> None:
        assert is_401(verdict(peer=ip_address(peer)), Verify.NONE)

    def test_without_any_environment_no_address_is_taken(self) -> None:
        assert not address_admitted((), SAS)

    def test_before_the_handshake_the_union_of_all_environments_counts(self) -> None:
        both = rules(), rules("preproduction", addresses=(ip_network("37.59.26.69"),))
        taken = [str(each) for each in map(ip_address, ("51.91.149.173", "37.59.26.69",
                 "37.59.26.68")) if address_admitted(both, each)]  # fmt: skip
        assert taken == ["51.91.149.173", "37.59.26.69"]


class TestCertificate:
    def test_none_is_a_401(self) -> None:
        given = verdict(Presented(None))
        assert is_401(given, Verify.NONE)
        assert given.identity is None

    def test_none_is_a_401_whatever_else_the_handshake_left(self) -> None:
        assert is_401(verdict(Presented(None, calls=3, chain=(LEAF, ISSUER, ROOT))), Verify.NONE)

    def test_an_unreadable_one_is_a_401_that_says_why(self) -> None:
        given = verdict(Presented(None, unreadable="the name is no text"))
        assert is_401(given, Verify.MALFORMED)
        assert given.detail == "the name is no text"


class TestChain:
    @pytest.mark.parametrize(
        ("errno", "depth", "verify"),
        [
            (Code.ERR_CERT_HAS_EXPIRED, 0, Verify.EXPIRED),
            (Code.ERR_CERT_HAS_EXPIRED, 1, Verify.EXPIRED),
            (Code.ERR_CERT_NOT_YET_VALID, 0, Verify.NOT_YET_VALID),
            (Code.ERR_INVALID_PURPOSE, 0, Verify.NOT_AUTH_CLI),
            (Code.ERR_INVALID_PURPOSE, 1, Verify.UNTRUSTED_ISSUER),
            (Code.ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, 0, Verify.UNTRUSTED_ISSUER),
            (Code.ERR_DEPTH_ZERO_SELF_SIGNED_CERT, 0, Verify.UNTRUSTED_ISSUER),
            (Code.ERR_CERT_SIGNATURE_FAILURE, 0, Verify.UNTRUSTED_ISSUER),
            (Code.ERR_CERT_CHAIN_TOO_LONG, 0, Verify.UNTRUSTED_ISSUER),
            (Code.ERR_CERT_REVOKED, 0, Verify.UNTRUSTED_ISSUER),
            (987654, 0, Verify.UNTRUSTED_ISSUER),
        ],
    )
    def test_any_fault_is_a_401(self, errno: int, depth: int, verify: Verify) -> None:
        """S2: one not-ok refuses, however many steps said ok after it."""
        assert is_401(verdict(presented(faults=(ChainFault(errno, depth),))), verify)

    def test_every_error_that_openssl_knows_refuses(self) -> None:
        """S2."""
        every = [number for name, number in vars(Code).items() if name.startswith("ERR_")]
        assert len(every) > 50
        given = [verdict(presented(faults=(ChainFault(number, 0),))) for number in every]
        assert {each.outcome for each in given} == {Outcome.UNAUTHORIZED}

    def test_an_unknown_issuer_outweighs_dates_and_usage(self) -> None:
        """What a stranger's certificate says of itself is worth nothing."""
        expired = ChainFault(Code.ERR_CERT_HAS_EXPIRED, 0)
        purpose = ChainFault(Code.ERR_INVALID_PURPOSE, 0)
        unknown = ChainFault(Code.ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, 0)
        given = verdict(presented(faults=(expired, purpose, unknown)))
        assert is_401(given, Verify.UNTRUSTED_ISSUER)

    def test_the_detail_names_every_fault_and_its_depth(self) -> None:
        first = ChainFault(Code.ERR_CERT_HAS_EXPIRED, 1)
        given = verdict(presented(faults=(first, ChainFault(987654, 0))))
        assert given.detail == "cert has expired at depth 1; error 987654 at depth 0"

    def test_without_a_single_step_nothing_was_verified(self) -> None:
        """S2: an empty list of faults alone proves nothing."""
        assert is_401(verdict(presented(calls=0)), Verify.UNTRUSTED_ISSUER)

    @pytest.mark.parametrize(
        "chain",
        [
            (),
            (ISSUER, ROOT),
            (b"another", ISSUER, ROOT),
            (LEAF,),
            (LEAF, ISSUER),
            (LEAF, ROOT),
            (LEAF, b"another", ROOT),
            (LEAF, b"another", ISSUER, ROOT),
            (LEAF, ISSUER, b"another"),
            (LEAF, ISSUER, ROOT, b"another"),
            (ROOT, ISSUER, LEAF),
        ],
    )
    def test_only_leaf_pinned_issuer_and_root_will_do(self, chain: tuple[bytes, ...]) -> None:
        """S11."""
        assert is_401(verdict(presented(chain=chain)), Verify.UNTRUSTED_ISSUER)

    def test_a_chain_of_the_root_alone_is_refused_for_a_root_as_client(self) -> None:
        assert is_401(
            verdict(presented(identity(der=ROOT), chain=(ROOT,))), Verify.UNTRUSTED_ISSUER
        )

    def test_issuer_and_root_of_two_environments_do_not_add_up(self) -> None:
        """S9: AND, within one environment."""
        one = rules("one", roots=frozenset({b"another"}))
        other = rules("other", issuers=frozenset({b"another"}))
        assert is_401(verdict(None, one, other), Verify.UNTRUSTED_ISSUER)


class TestDates:
    def test_it_expires_during_the_life_of_the_connection(self) -> None:
        """S15: OpenSSL judged the dates once, at the handshake."""
        given = verdict(now=identity().not_after + SECOND)
        assert is_401(given, Verify.EXPIRED)
        assert "2026-07-02 12:00:00 UTC" in given.detail

    def test_it_is_not_valid_yet_once_the_clock_is_set_right(self) -> None:
        assert is_401(verdict(now=identity().not_before - SECOND), Verify.NOT_YET_VALID)


class TestUsage:
    @pytest.mark.parametrize(
        ("client_auth", "server_auth"), [(True, True), (False, True), (False, False)]
    )
    def test_anything_but_client_auth_alone_is_a_401(
        self, client_auth: bool, server_auth: bool
    ) -> None:
        """S4."""
        who = identity(client_auth=client_auth, server_auth=server_auth)
        assert is_401(verdict(presented(who)), Verify.NOT_AUTH_CLI)


class TestNames:
    @pytest.mark.parametrize(
        ("cns", "ous"),
        [
            ((), (PAIR.ou,)),
            ((PAIR.cn,), ()),
            ((), ()),
            ((PAIR.cn, "x"), (PAIR.ou,)),
            (("x", PAIR.cn), (PAIR.ou,)),
            ((PAIR.cn, PAIR.cn), (PAIR.ou,)),
            ((PAIR.cn,), (PAIR.ou, "x")),
            ((PAIR.cn,), ("x", PAIR.ou)),
            ((PAIR.cn,), (PAIR.ou, PAIR.ou)),
        ],
    )
    def test_one_cn_and_one_ou_are_needed(self, cns: tuple[str, ...], ous: tuple[str, ...]) -> None:
        """S8."""
        given = verdict(presented(identity(common_names=cns, organizational_units=ous)))
        assert is_403(given)
        assert ("ambiguous" in given.detail) == (len(cns) > 1 or len(ous) > 1)

    @pytest.mark.parametrize(
        "pair",
        [
            NamePair(PAIR.cn, OTHER.ou),
            NamePair(OTHER.cn, PAIR.ou),
            NamePair(PAIR.ou, PAIR.cn),
            NamePair(PAIR.cn.upper(), PAIR.ou),
            NamePair(f"{PAIR.cn}\0.evil", PAIR.ou),
        ],
    )
    def test_any_other_pair_is_a_403(self, pair: NamePair) -> None:
        """S5, S6, S9: also where both halves are good, each of its own client."""
        assert is_403(verdict(presented(named(pair)), rules(clients=frozenset({PAIR, OTHER}))))

    def test_without_clients_nobody_is_admitted(self) -> None:
        assert is_403(verdict(None, rules(clients=frozenset())))


class TestSeveralEnvironments:
    PREPRODUCTION = rules(
        "preproduction", clients=frozenset({OTHER}), addresses=(ip_network("37.59.26.69"),)
    )

    @pytest.mark.parametrize(
        ("pair", "peer", "environment"),
        [(PAIR, "51.91.149.173", "recette"), (OTHER, "37.59.26.69", "preproduction")],
    )
    def test_the_pair_says_which_it_is(self, pair: NamePair, peer: str, environment: str) -> None:
        both = rules(), self.PREPRODUCTION
        for environments in (both, both[::-1]):
            given = verdict(presented(named(pair)), *environments, peer=ip_address(peer))
            assert (given.outcome, given.environment) == (Outcome.ADMITTED, environment)

    def test_the_others_address_passes_the_filter_and_is_a_403_afterwards(self) -> None:
        given = verdict(None, rules(), self.PREPRODUCTION, peer=ip_address("37.59.26.69"))
        assert is_403(given)
        assert given.environment == "recette"
        assert "37.59.26.69" in given.detail

    def test_the_pair_must_be_of_an_environment_that_trusts_the_ca(self) -> None:
        """S9: CA of one with the pair of the other."""
        foreign = rules("own", clients=frozenset({OTHER}), issuers=frozenset({b"another"}))
        assert is_403(verdict(presented(named(OTHER)), rules(), foreign))

    def test_the_deny_list_of_another_environment_does_not_count(self) -> None:
        denying = rules("preproduction", clients=frozenset({OTHER}),
                        deny=(DeniedFingerprint(identity().sha256),))  # fmt: skip
        assert verdict(None, denying, rules()).outcome is Outcome.ADMITTED

    def test_without_any_environment_nobody_is_admitted(self) -> None:
        assert is_401(judge(presented(), SAS, (), NOW), Verify.NONE)


class TestDeny:
    @pytest.mark.parametrize(
        "denial",
        [DeniedFingerprint(identity().sha256), DeniedSerial("ISSUER", "1A2B")],
    )
    def test_a_denied_client_is_answered_as_revoked(self, denial: Denial) -> None:
        given = verdict(None, rules(deny=(DeniedFingerprint("00" * 32), denial)))
        assert is_401(given, Verify.REVOKED)
        assert given.environment == "recette"

    @pytest.mark.parametrize(
        "denial",
        [
            DeniedFingerprint("00" * 32),
            DeniedSerial("ANOTHER", "1A2B"),
            DeniedSerial("ISSUER", "1A2C"),
            DeniedSerial("ISSUER", ""),
            DeniedSerial("", "1A2B"),
        ],
    )
    def test_a_denial_of_somebody_else_leaves_it_in(self, denial: Denial) -> None:
        """S21: a serial counts with its issuer only."""
        assert verdict(None, rules(deny=(denial,))).outcome is Outcome.ADMITTED


def spoilt(steps: int) -> tuple[Identity, dict[str, object]]:
    """A client denied, and wrong in its usage and names but for the first `steps` of them."""
    changes = ({"server_auth": True}, {"common_names": ("x",)}, {})
    who = identity(**{key: value for each in changes[steps:] for key, value in each.items()})
    return who, {"deny": (DeniedFingerprint(who.sha256),)}


class TestOrder:
    """Whoever is wrong in several ways is told the first: each case leaves one more of them out."""

    def test_address_comes_before_all(self) -> None:
        given = verdict(Presented(None, unreadable="x"), peer=ELSEWHERE)
        assert "address" in given.detail

    def test_chain_comes_before_issuer(self) -> None:
        what = presented(
            chain=(LEAF, b"x", b"y"), faults=(ChainFault(Code.ERR_CERT_HAS_EXPIRED, 0),)
        )
        assert is_401(verdict(what), Verify.EXPIRED)

    def test_dates_come_before_issuer(self) -> None:
        who = identity(not_after=NOW - SECOND)
        assert is_401(verdict(presented(who, chain=(LEAF, b"x", b"y"))), Verify.EXPIRED)

    def test_issuer_comes_before_usage(self) -> None:
        who, denied = spoilt(0)
        given = verdict(presented(who, chain=(LEAF, b"x", ROOT)), rules(**denied))
        assert is_401(given, Verify.UNTRUSTED_ISSUER)

    def test_usage_comes_before_names(self) -> None:
        who, denied = spoilt(0)
        assert is_401(verdict(presented(who), rules(**denied)), Verify.NOT_AUTH_CLI)

    def test_names_come_before_the_deny_list(self) -> None:
        who, denied = spoilt(1)
        assert is_403(verdict(presented(who), rules(**denied)))

    def test_the_environments_address_comes_before_its_deny_list(self) -> None:
        who, denied = spoilt(2)
        other = rules("other", addresses=(ip_network("192.0.2.0/24"),), clients=frozenset())
        assert is_403(verdict(presented(who), rules(**denied), other, peer=ELSEWHERE))

    def test_the_deny_list_comes_last(self) -> None:
        who, denied = spoilt(2)
        assert is_401(verdict(presented(who), rules(**denied)), Verify.REVOKED)
