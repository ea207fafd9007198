"""CRC of a model in memory: what the sweep says of it, and nothing of the model changed."""

import pytest
import torch
from peft import LoraConfig, get_peft_model

from slr_probe import CRCTask, ModelPair, Recipe
from slr_probe.errors import TaskError
from slr_probe.sweep import sweep
from slr_probe.training import LiveCRC

PAIR = ModelPair.load("organism:base", "organism:dpo", device="cpu", dtype="float32")


def expected(crc: LiveCRC):
    asked = set(crc.prompts)
    items = [item for item in CRCTask.default().selection.items if item.prompt in asked]
    result = sweep(PAIR, [Recipe.tuned(PAIR.depth)], CRCTask.of(items), progress=False)
    order = [[item.prompt for item in items].index(prompt) for prompt in crc.prompts]
    return result.validity[0][order], result.diversity[0][order]


def test_it_is_what_the_sweep_says():
    crc = LiveCRC(PAIR.tokenizer, prompts=10)
    point, (validity, diversity) = crc(PAIR.tuned), expected(crc)
    torch.testing.assert_close(torch.tensor(point.validity), torch.tensor(validity), rtol=0, atol=1e-5)
    torch.testing.assert_close(torch.tensor(point.diversity), torch.tensor(diversity), rtol=0, atol=1e-5)
    means = {"crc/validity": validity.mean(), "crc/diversity": diversity.mean()}
    assert point.means() == pytest.approx(means, abs=1e-5)


def test_every_category_is_asked():
    items = {item.prompt: item.category for item in CRCTask.default().items}
    assert {items[prompt] for prompt in LiveCRC(PAIR.tokenizer, prompts=2).prompts} == {"characters", "words"}


def test_an_adapter_in_training_is_measured_and_left_alone():
    crc = LiveCRC(PAIR.tokenizer, prompts=4)
    plain = crc(PAIR.tuned)
    model = get_peft_model(PAIR.tuned, LoraConfig(r=2, target_modules=["q_proj"], lora_dropout=0.5))
    model.train()
    model.base_model.model.model.layers[0].eval()  # as somebody may have frozen it
    modes = [module.training for module in model.modules()]
    torch.testing.assert_close(torch.tensor(crc(model).validity), torch.tensor(plain.validity))  # B begins at zero
    assert [module.training for module in model.modules()] == modes
    model.unload()


def test_a_model_whose_head_cannot_be_told_positions_gives_the_same():
    class Whole(torch.nn.Module):
        def __init__(self, model):
            super().__init__()
            self.model = model

        def forward(self, input_ids, use_cache):
            return self.model(input_ids=input_ids, use_cache=use_cache)

    crc = LiveCRC(PAIR.tokenizer, prompts=4)
    torch.testing.assert_close(
        torch.tensor(crc(Whole(PAIR.tuned)).validity), torch.tensor(crc(PAIR.tuned).validity), rtol=0, atol=1e-6
    )


def test_no_prompts_is_an_error():
    with pytest.raises(TaskError, match="at least one prompt"):
        LiveCRC(PAIR.tokenizer, prompts=0)
