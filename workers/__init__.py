"""Everything that computes a matte. Imports `stream`; never `web`."""

import os

# These libraries report usage to their makers over the network unless told not to before they are imported.
# Nothing of a user's leaves their machine.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
