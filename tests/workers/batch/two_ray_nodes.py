"""A Ray cluster of two nodes with one core each, on loopback: a program, so that Ray's processes and warnings are not
in the tests' process.

Prints the cluster's address. On the line "kill" it kills the second node, as a power failure would, and prints
"killed". It ends all nodes when its standard input is closed.
"""

import os
import shutil
import sys
import tempfile

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

from ray.cluster_utils import Cluster

_NODE = {
    "num_cpus": 1,
    "object_store_memory": 80 * 2**20,
    "node_ip_address": "127.0.0.1",
    "include_dashboard": False,
}


def main() -> None:
    folder = tempfile.mkdtemp(prefix="mb-")  # short: the paths of sockets are limited
    os.environ["RAY_TMPDIR"] = folder  # not /tmp/ray, where `--address auto` would find this cluster
    cluster = Cluster()
    try:
        cluster.add_node(**_NODE)
        second = cluster.add_node(**_NODE)
        print(cluster.address, flush=True)
        for line in sys.stdin:
            if line.strip() == "kill":
                cluster.remove_node(second, allow_graceful=False)
                print("killed", flush=True)
    finally:
        cluster.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
