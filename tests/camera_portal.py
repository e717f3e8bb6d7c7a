"""The desktop portal for cameras as browsers use it: always allows, and passes a socket of PipeWire.

A program for the system's Python, which has python3-gi: `camera_portal.py SOCKET`. Prints "ready" once it is on the
bus.
"""

import socket
import sys
from typing import Any

from gi.repository import Gio, GLib

_NAME, _PATH = "org.freedesktop.portal.Desktop", "/org/freedesktop/portal/desktop"
_INTERFACE = """
<node><interface name="org.freedesktop.portal.Camera">
  <method name="AccessCamera">
    <arg type="a{sv}" direction="in"/><arg type="o" direction="out"/>
  </method>
  <method name="OpenPipeWireRemote">
    <arg type="a{sv}" direction="in"/><arg type="h" direction="out"/>
  </method>
  <property name="IsCameraPresent" type="b" access="read"/>
  <property name="version" type="u" access="read"/>
</interface></node>
"""


def call(bus: Any, sender: str, path: str, interface: str, method: str, arguments: Any, invocation: Any) -> None:
    if method == "AccessCamera":
        token = arguments.unpack()[0].get("handle_token", "token")
        request = f"{_PATH}/request/{sender[1:].replace('.', '_')}/{token}"
        invocation.return_value(GLib.Variant("(o)", (request,)))
        GLib.timeout_add(100, allow, bus, sender, request)
    else:
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(sys.argv[1])
        files = Gio.UnixFDList.new()
        number = files.append(connection.fileno())
        invocation.return_value_with_unix_fd_list(GLib.Variant("(h)", (number,)), files)


def allow(bus: Any, sender: str, request: str) -> bool:
    response = GLib.Variant("(ua{sv})", (0, {}))
    bus.emit_signal(sender, request, "org.freedesktop.portal.Request", "Response", response)
    return False


def read(bus: Any, sender: str, path: str, interface: str, name: str) -> Any:
    return GLib.Variant("b", True) if name == "IsCameraPresent" else GLib.Variant("u", 1)


def acquired(bus: Any, name: str) -> None:
    bus.register_object(_PATH, Gio.DBusNodeInfo.new_for_xml(_INTERFACE).interfaces[0], call, read, None)


def named(bus: Any, name: str) -> None:
    print("ready", flush=True)


if __name__ == "__main__":
    Gio.bus_own_name(Gio.BusType.SESSION, _NAME, 0, acquired, named, None)
    GLib.MainLoop().run()
