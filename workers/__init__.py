"""Everything that computes mattes. Imports `stream`, never `web`."""

import os
import sys

# These libraries send usage telemetry unless it is disabled before they are imported.
# No user data may leave the machine.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
# OpenVINO has no switch for it, and reports each import. It does without the package that sends.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

# OpenMP threads must not spin while they wait: decoders, encoders and other networks need the cores.
# Measured with BiRefNet on two busy cores: 1.5 to 3 times as fast.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
