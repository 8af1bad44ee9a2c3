"""What a refused reload leaves behind: nothing (S56)."""

from within import GatewayWithin


class RefusedTests(GatewayWithin):
    async def test_no_pool_of_a_server_that_was_never_called(self) -> None:
        gateway = await self.start()
        before = set(gateway._upstreams._pools)
        ini = gateway._settings.path
        other = ini.read_text().replace("backend = ", "backend = http://127.0.0.1:9 ")
        head, _, tail = other.rpartition("tcp:0:")
        ini.write_text(f"{head}tcp:{self.port()}:{tail}")
        faults = await gateway.reload()
        assert "another server has it" in faults[0]
        assert set(gateway._upstreams._pools) == before
