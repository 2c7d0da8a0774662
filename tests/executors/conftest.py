"""A Ray cluster on this machine."""

import os
import socket
from contextlib import ExitStack

import pytest


@pytest.fixture(scope="session")
def ray_cluster():
    """A cluster of two nodes with two CPUs each, and a head without one."""
    os.environ.setdefault("RAY_raylet_start_wait_time_s", "120")  # of which a busy machine needs more than 30
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    # A node that is gone is noticed after five seconds.
    settings = {"health_check_period_ms": 1000, "health_check_failure_threshold": 5}
    head = {"num_cpus": 0, "include_dashboard": False, "_system_config": settings}
    cluster = Cluster(initialize_head=True, head_node_args=head | _agent_ports())
    for _ in range(2):
        cluster.add_node(num_cpus=2, **_agent_ports())
    yield cluster
    cluster.shutdown()


def _agent_ports():
    """Ports for a node's agents: it would wait for 15 seconds until they have found some, which may take longer."""
    names = ("metrics_agent_port", "metrics_export_port", "dashboard_agent_listen_port", "runtime_env_agent_port")
    with ExitStack() as opened:
        servers = [opened.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in names]
        return {name: server.getsockname()[1] for name, server in zip(names, servers, strict=True)}


@pytest.fixture(scope="module")
def connected(ray_cluster):
    """The cluster while this process is connected to it, so that executors without an address find it."""
    import ray

    ray.init(ray_cluster.address, logging_level="ERROR")
    yield ray_cluster
    ray.shutdown()
