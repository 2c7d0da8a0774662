"""A Ray cluster on this machine."""

import os

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
    cluster = Cluster(initialize_head=True, head_node_args=head)
    for _ in range(2):
        cluster.add_node(num_cpus=2)
    yield cluster
    cluster.shutdown()


@pytest.fixture(scope="module")
def connected(ray_cluster):
    """The cluster while this process is connected to it, so that executors without an address find it."""
    import ray

    ray.init(ray_cluster.address, logging_level="ERROR")
    yield ray_cluster
    ray.shutdown()
