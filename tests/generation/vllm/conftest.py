import pytest

from slr_probe import ModelPair
from tests.generation.vllm_fake import install_fake_vllm
from tests.tiny import write_checkpoint
from tests.tiny_tokenizer import make_tokenizer


@pytest.fixture
def vllm(monkeypatch):
    return install_fake_vllm(monkeypatch)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A tiny pair whose context holds the questions of a proof."""
    root = tmp_path_factory.mktemp("live")
    for seed, role in enumerate(("base", "tuned"), 1):
        write_checkpoint(root / role, "llama", seed, max_position_embeddings=256)
        make_tokenizer().save_pretrained(root / role)
    return root / "base", root / "tuned"


@pytest.fixture
def pair(folders):
    return ModelPair.load(*folders, device="cpu", dtype="float32")
