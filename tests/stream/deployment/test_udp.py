"""Ports that are free or taken, and addresses that lead here or not."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from stream.deployment.udp import check
from stream.finding import Finding
from stream.settings import Settings
from tests.servers import asynctest

HERE = "127.0.0.1"


@contextmanager
def taken(count: int) -> Iterator[tuple[int, ExitStack]]:
    """The first of some neighbouring ports, all taken until the stack is closed."""
    for first in range(42_000, 60_000, count):
        with ExitStack() as stack:
            try:
                for port in range(first, first + count):
                    sock = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                    sock.bind((HERE, port))
            except OSError:
                continue
            yield first, stack
            return


async def findings(**settings: str) -> tuple[Finding, Finding]:
    ports, public = await check(Settings.model_validate({"udp_address": HERE} | settings))
    return ports, public


@asynctest
async def test_a_free_range_and_an_address_that_leads_here() -> None:
    with taken(3) as (first, stack):
        stack.close()
        ports, public = await findings(udp_ports=f"{first}-{first + 2}", public_address=HERE)
    assert ports.ok
    assert "3 of 3" in ports.detail
    assert public.ok


@asynctest
async def test_a_range_that_is_taken() -> None:
    with taken(3) as (first, _):
        ports, public = await findings(udp_ports=f"{first}-{first + 2}", public_address=HERE)
        assert ports.ok is False
        assert public.ok is None


@asynctest
async def test_a_range_in_use_by_a_worker() -> None:
    with taken(2) as (first, _):
        ports, _ = await findings(udp_ports=f"{first}-{first + 9}")
        assert ports.ok is None


@asynctest
async def test_an_address_that_leads_elsewhere() -> None:
    _, public = await findings(public_address="127.0.0.2")
    assert public.ok is None
    assert "did not arrive" in public.detail
    assert "forward" in public.remedy


@asynctest
async def test_no_range_and_no_address() -> None:
    ports, public = await findings()
    assert (ports.ok, public.ok) == (None, None)


@asynctest
async def test_an_address_that_this_machine_does_not_have() -> None:
    ports, _ = await check(Settings(udp_address="192.0.2.1"))
    assert ports.ok is False
    assert "MATTEBOX_UDP_ADDRESS" in ports.remedy
