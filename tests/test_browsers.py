"""What a page in a browser of this host asks for is told from what programs ask for (S53, S58)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sasgate.browsers import Way, asked_by_page, names_loopback
from sasgate.http1 import HeadLimits, RequestHead, RequestReader


SAS = b"sas.example"
LOCAL = "Host: localhost:8081"
EVERY_METHOD = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def head(*lines: str, method: str = "GET", version: str = "1.1") -> RequestHead:
    reader = RequestReader(HeadLimits())
    lines = (f"{method} / HTTP/{version}", *lines, "Content-Length: 0", "", "")
    reader.receive("\r\n".join(lines).encode("latin-1"))
    found = reader.head()
    assert found is not None
    return found


def by_loopback(*lines: str, server: bytes = SAS, **more: str) -> str | None:
    return asked_by_page(head(*lines, **more), Way.LOOPBACK, server)


class TestHostOfThisMachine:
    @pytest.mark.parametrize(
        "host",
        ["localhost", "localhost:9180", "LOCALHOST:1", "localhost.", "127.0.0.1", "127.0.0.1:9180",
         "127.0.0.2", "[::1]", "[::1]:9180", "[::ffff:127.0.0.1]:1", "app.localhost:8081",
         "localhost.localdomain", "ip6-localhost:1", None],
    )  # fmt: skip
    def test_this_machine_by_itself(self, host: str | None) -> None:
        assert names_loopback(None if host is None else host.encode())

    @pytest.mark.parametrize(
        "host",
        ["", ":8081", ".", "evil.example", "evil.example:9180", "localhost.evil.example",
         "evil-localhost", "evillocalhost", "127.0.0.1.evil.example", "127.0.0.1:x", "10.0.0.5",
         "0.0.0.0", "[::]", "[2001:db8::1]:9180", "::ffff:192.0.2.1", "[::ffff:192.0.2.1]", "127.1",
         "2130706433", "localhost:1:2", "[localhost]", "localhost%2eevil"],
    )  # fmt: skip
    def test_s58_a_name_that_was_made_to_point_here(self, host: str) -> None:
        assert not names_loopback(host.encode())


class TestPrograms:
    """What applications send passes."""

    @pytest.mark.parametrize(
        "lines",
        [
            [LOCAL],
            ["Host: 127.0.0.1:8081"],
            ["Host: [::1]:8081"],
            ["Host: sas.example"],
            ["Host: SAS.example:443"],
            [LOCAL, "Sec-Fetch-Mode: cors"],  # Node's fetch
            [LOCAL, "Sec-Fetch-Site: none", "Sec-Fetch-Mode: no-cors"],  # a person began it
            [LOCAL, "Sec-Fetch-Site: same-origin", "Origin: http://localhost:8081"],
            [LOCAL, "Origin: HTTP://LOCALHOST:8081"],
            [LOCAL, "Referer: https://app.example/"],
            [LOCAL, "X-Origin: x", "Origin-Agent-Cluster: ?1"],
        ],
    )
    @pytest.mark.parametrize("method", EVERY_METHOD)
    def test_over_the_loopback(self, lines: list[str], method: str) -> None:
        assert by_loopback(*lines, method=method) is None

    def test_without_host_in_http_1_0(self) -> None:
        assert by_loopback(version="1.0") is None

    def test_with_the_port_of_sas_or_without(self) -> None:
        assert by_loopback("Host: sas.example", server=b"sas.example:8443") is None

    @given(st.from_regex(r"[a-z0-9.-]{0,30}(:[0-9]{1,5})?", fullmatch=True))
    def test_by_a_socket_any_host(self, host: str) -> None:
        assert asked_by_page(head(f"Host: {host}"), Way.SOCKET, SAS) is None

    def test_by_a_socket_a_reverse_proxy_may_pass_all_on(self) -> None:
        lines = ["Host: app.example", "Origin: https://x.example", "Sec-Fetch-Site: cross-site"]
        assert asked_by_page(head(*lines), Way.SOCKET, SAS) is None

    @pytest.mark.parametrize("host", ["gateway.lan:8081", "10.0.0.5:8081", "gateway"])
    def test_by_the_network_any_host(self, host: str) -> None:
        assert asked_by_page(head(f"Host: {host}"), Way.NETWORK, SAS) is None


class TestPages:
    """S53: what browsers send for a page that is not ours is refused."""

    @pytest.mark.parametrize("method", EVERY_METHOD)
    @pytest.mark.parametrize(
        "value", ["cross-site", "same-site", "Cross-Site", "", "nonsense", "none, cross-site"]
    )
    @pytest.mark.parametrize("way", [Way.LOOPBACK, Way.NETWORK])
    def test_of_another_site(self, method: str, value: str, way: Way) -> None:
        asked = head(LOCAL, f"Sec-Fetch-Site: {value}", method=method)
        assert "Sec-Fetch-Site" in (asked_by_page(asked, way, SAS) or "")

    @pytest.mark.parametrize("method", EVERY_METHOD)
    @pytest.mark.parametrize(
        "value",
        ["https://evil.example", "http://localhost:3000", "http://localhost", "http://127.0.0.1:8081",
         "https://localhost:8081", "null", "file://", "", "localhost:8081",
         "http://localhost:8081/", "http://sas.example", "chrome-extension://abcdef"],
    )  # fmt: skip
    @pytest.mark.parametrize("way", [Way.LOOPBACK, Way.NETWORK])
    def test_of_another_origin(self, method: str, value: str, way: Way) -> None:
        asked = head(LOCAL, f"Origin: {value}", method=method)
        assert "Origin" in (asked_by_page(asked, way, SAS) or "")

    def test_with_an_origin_where_there_is_no_host(self) -> None:
        assert by_loopback("Origin: http://", version="1.0") is None
        assert by_loopback("Origin: http://evil.example", version="1.0") is not None

    def test_the_second_of_two_fields_counts_too(self) -> None:
        assert by_loopback(LOCAL, "Sec-Fetch-Site: none", "sec-fetch-site: cross-site")
        assert by_loopback(LOCAL, "Origin: http://localhost:8081", "ORIGIN: https://evil.example")

    @pytest.mark.parametrize("method", EVERY_METHOD)
    @pytest.mark.parametrize(
        "host",
        ["evil.example:8081", "sas.example.evil.example", "evil-sas.example", "0.0.0.0:8081",
         "10.0.0.5:8081", "", "gateway"],
    )  # fmt: skip
    def test_under_a_name_that_was_made_to_point_here(self, method: str, host: str) -> None:
        """Their browser takes it for one origin, and a name that is not secure has no metadata."""
        lines = f"Host: {host}", f"Origin: http://{host}"
        assert "Host" in (by_loopback(*lines, method=method) or "")
        assert "Host" in (by_loopback(lines[0], method=method) or "")
