"""What a profiler saw is read right: launches are counted, and time is counted once."""

import pytest
import torch
from torch.autograd import DeviceType
from torch.autograd.profiler_util import FunctionEvent
from torch.profiler import ProfilerActivity

from nases_env.benchmarking.profile import StepProfile, profiled, read


def host(name, start=0):
    return FunctionEvent(0, name, 0, start, start + 1, device_type=DeviceType.CPU)


def gpu(start, end, name="a kernel", **fields):
    return FunctionEvent(0, name, 7, start, end, device_type=DeviceType.CUDA, **fields)


def test_launches_are_the_calls_that_give_a_gpu_something_to_do():
    started = ["cudaLaunchKernel", "cudaLaunchKernelExC", "cuLaunchKernelEx", "cudaMemcpyAsync", "cudaMemsetAsync"]
    others = ["cudaDeviceSynchronize", "cudaStreamIsCapturing", "cudaMalloc", "aten::conv2d", "cudaEventRecord"]
    events = [host(name) for name in [*started, *others, "cudaGraphLaunch"]]
    assert read([*events, gpu(0, 1)], steps=2).launches == 3


def test_time_is_that_in_which_anything_runs_and_a_step_is_a_share_of_it():
    # Microseconds 0 to 1,000 and 3,000 to 4,500, of which some twice; the last one lies inside another.
    events = [gpu(3000, 4000), gpu(0, 1000), gpu(3500, 4500), gpu(3600, 3700)]
    assert read(events, steps=1).gpu_milliseconds == pytest.approx(2.5)
    assert read(events, steps=5) == StepProfile(launches=0, gpu_milliseconds=pytest.approx(0.5))


def test_a_name_that_somebody_gave_to_a_stretch_of_time_is_no_work():
    events = [gpu(0, 1000), gpu(0, 9000, "Optimizer.step#SGD.step", is_user_annotation=True)]
    assert read(events, steps=1).gpu_milliseconds == pytest.approx(1.0)


def test_where_no_gpu_worked_nothing_is_known():
    with torch.profiler.profile(activities=[ProfilerActivity.CPU]) as profiler:
        torch.ones(3) + 1
    assert len(profiler.events()) > 0 and read(profiler.events(), steps=1) is None


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpus_work_is_seen():
    left = torch.randn(2048, 2048, device="cuda")
    torch.matmul(left, left)
    found = profiled(lambda: [torch.matmul(left, left) for _ in range(10)], steps=10)
    assert found.launches == pytest.approx(1, abs=0.5)
    assert 0.01 < found.gpu_milliseconds < 100
