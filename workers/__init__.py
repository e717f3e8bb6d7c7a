"""Everything that computes a matte. Imports `stream`; never `web`."""

import os

# onnxruntime's packages report usage to their maker over the network unless this is set before they are imported.
# Nothing of a user's leaves their machine.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
