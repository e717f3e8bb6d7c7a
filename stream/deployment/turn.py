"""TURN: each server gives a relay for the credentials that Mattebox creates with the shared secret."""

import asyncio

from aioice import stun
from aioice.turn import create_turn_endpoint

from stream.finding import Finding
from stream.rtc import ice
from stream.settings import Settings

_ANSWER_S = 5.0


async def check(settings: Settings) -> list[Finding]:
    """One finding for each TURN server."""
    servers = [server for server in ice.ice_servers(settings, "doctor") if "credential" in server]
    if servers:  # one entry, with all of them
        entry = servers[0]
        places = zip(entry["urls"], ice.turn_hosts(settings), strict=True)
        return [await _allocated(url, place, entry["username"], entry["credential"]) for url, place in places]
    remedy = "set MATTEBOX_ICE_SERVERS and MATTEBOX_TURN_SECRET for clients whose networks block UDP"
    return [Finding("turn", None, "no server is set", remedy)]


async def _allocated(url: str, address: tuple[str, int], user: str, password: str) -> Finding:
    """Ask a server for a relay, and give it up."""
    name = f"turn {url.partition(':')[2]}"
    tls, tcp = url.startswith("turns:"), url.startswith("turns:") or url.endswith("transport=tcp")
    try:
        async with asyncio.timeout(_ANSWER_S):
            transport, _ = await create_turn_endpoint(
                asyncio.DatagramProtocol, address, user, password,
                ssl=True if tls else None, transport="tcp" if tcp else "udp",
            )  # fmt: skip
    except stun.TransactionFailed as exc:
        return _refused(name, exc)
    except (stun.TransactionTimeout, TimeoutError, OSError) as exc:
        remedy = "start it, and open its port in the firewall"
        return Finding(name, False, f"no answer: {str(exc) or 'it took too long'}", remedy)
    relay = transport.get_extra_info("sockname")
    transport.close()
    await asyncio.sleep(0.1)  # a message gives the relay up
    return Finding(name, True, f"gives a relay at {relay[0]}")


def _refused(name: str, exc: stun.TransactionFailed) -> Finding:
    code, reason = exc.response.attributes["ERROR-CODE"]
    remedy = {
        401: "MATTEBOX_TURN_SECRET must be its static-auth-secret, with use-auth-secret; check both clocks",
        486: "raise its user-quota or total-quota, or wait until relays expire",
        508: "it has no free ports: raise max-port",
    }.get(code, "see the log of the TURN server")
    return Finding(name, False, f"refuses a relay: {code} {reason}", remedy)
