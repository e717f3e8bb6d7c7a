"""Everything that computes a matte. Imports `stream`; never `web`."""

import os

# These libraries report usage to their makers over the network unless told not to before they are imported.
# Nothing of a user's leaves their machine.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"

# Threads of a network that wait for each other must not spin: decoders, encoders and other networks want the cores.
# Measured with BiRefNet on two cores that others used too: 1.5 to 3 times as fast.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
