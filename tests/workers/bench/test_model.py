import pytest

torch = pytest.importorskip("torch")

from stream.settings import Settings
from workers.bench.model import BACKBONES, Case, arithmetic, bench_model, random_network


@pytest.mark.slow
def test_each_case_is_measured_and_compared_with_the_device() -> None:
    cases = [Case("swin-t", 64, 1, torch.float32, "plain"), Case("swin-t", 64, 2, torch.bfloat16, "fused")]
    rows = list(bench_model(Settings(), 2, lambda _: None, cases))
    assert [(row.form, row.batch, row.dtype) for row in rows] == [("plain", 1, "float32"), ("fused", 2, "bfloat16")]
    for row in rows:
        assert row.ms > 0
        assert row.fps == pytest.approx(1000 / row.ms, rel=0.02)
        assert 0 < row.share < 1.5
        assert row.peak_mib > 100


def test_the_random_network_gives_finite_logits() -> None:
    network = random_network(BACKBONES["swin-t"])
    assert all(parameter.isfinite().all() for parameter in network.parameters())
    assert network(torch.randn(1, 3, 64, 64)).isfinite().all()


@pytest.mark.long
def test_arithmetic_grows_with_the_image() -> None:
    network = random_network(BACKBONES["swin-t"])
    small, large = arithmetic(network, 64), arithmetic(network, 128)
    assert 3.2 * small < large < 4.2 * small
