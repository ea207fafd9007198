import pytest
import torch

from slr_probe.forward.device import as_index, many_shapes


@pytest.mark.parametrize("before", [True, False])
def test_cudnn_attention_is_as_it_was_afterwards(before):
    was = torch.backends.cuda.cudnn_sdp_enabled()
    torch.backends.cuda.enable_cudnn_sdp(before)
    try:
        with many_shapes():
            assert not torch.backends.cuda.cudnn_sdp_enabled()
        assert torch.backends.cuda.cudnn_sdp_enabled() == before
    finally:
        torch.backends.cuda.enable_cudnn_sdp(was)


def test_index():
    values = torch.arange(10.0)
    torch.testing.assert_close(values[as_index([3, 3, 0], values.device)], torch.tensor([3.0, 3.0, 0.0]))
    assert values[as_index([], values.device)].shape == (0,)
