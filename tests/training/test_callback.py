"""CRC while transformers trains: logged where the trainer logs, and training is what it would have been."""

import copy
from types import SimpleNamespace

import pytest
import torch
from transformers import Trainer, TrainingArguments

from slr_probe import ModelPair
from slr_probe.errors import TaskError
from slr_probe.training import CRCCallback, LiveCRC

PAIR = ModelPair.load("organism:base", "organism:sft", device="cpu", dtype="float32")


class Gathering(Trainer):
    """Gathers numbers of its own and logs their mean with whatever is logged next, as TRL's trainers do."""

    gathered = ()

    def training_step(self, *args, **options):
        self.gathered = (*self.gathered, self.state.global_step)
        return super().training_step(*args, **options)

    def log(self, logs, *rest):
        own, self.gathered = self.gathered, ()
        super().log({**logs, "steps": list(own)}, *rest)


def trainer(folder, kind=Trainer):
    ids = PAIR.tokenizer("the red ball is on the table")["input_ids"]
    rows = [{"input_ids": ids, "labels": ids}] * 8
    options = {"per_device_train_batch_size": 2, "learning_rate": 1e-3, "logging_steps": 2, "report_to": "none"}
    arguments = TrainingArguments(
        str(folder), max_steps=4, save_strategy="no", use_cpu=True, disable_tqdm=True, seed=3, **options
    )
    return kind(copy.deepcopy(PAIR.tuned), arguments, train_dataset=rows, processing_class=PAIR.tokenizer)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    plain, watched = (trainer(tmp_path_factory.mktemp(name)) for name in ("plain", "watched"))
    callback = CRCCallback(watched, every=2, prompts=4)
    watched.add_callback(callback)
    before = LiveCRC(PAIR.tokenizer, prompts=4)(watched.model)
    plain.train()
    watched.train()
    return plain, watched, callback, before


def test_it_is_measured_before_and_every_so_many_steps(trained):
    _, watched, callback, before = trained
    assert list(callback.history) == [0, 2, 4]
    assert callback.history[0].means() == before.means()
    assert callback.history[4].means() == LiveCRC(PAIR.tokenizer, prompts=4)(watched.model).means()
    assert callback.history[4].means() != before.means()


def test_it_is_logged_where_the_trainer_logs(trained):
    _, watched, callback, _ = trained
    logged = {row["step"]: row for row in watched.state.log_history if "crc/validity" in row}
    assert {step: row["crc/diversity"] for step, row in logged.items()} == {
        step: point.means()["crc/diversity"] for step, point in callback.history.items()
    }


def test_training_is_what_it_would_have_been(trained):
    plain, watched, _, _ = trained
    for one, other in zip(plain.model.parameters(), watched.model.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)
    losses = [[row["loss"] for row in t.state.log_history if "loss" in row] for t in (plain, watched)]
    assert losses[0] == losses[1]


def test_what_a_trainer_gathers_is_logged_as_without_it(tmp_path):
    """TRL's rewards and entropies stood in the row of CRC, and were missing in that of the loss."""
    watched = trainer(tmp_path, Gathering)
    watched.add_callback(CRCCallback(watched, every=1, prompts=4))
    watched.train()
    history = watched.state.log_history
    assert [row["steps"] for row in history if "loss" in row] == [[0, 1], [2, 3]]
    assert not [row for row in history if "crc/validity" in row and "steps" in row]


@pytest.mark.parametrize(
    ("given", "every", "what"),
    [(SimpleNamespace(processing_class=None), 50, "no tokenizer"), (SimpleNamespace(processing_class=0), 0, "every=0")],
)
def test_what_cannot_be_measured_is_said_before_training(given, every, what):
    with pytest.raises(TaskError, match=what):
        CRCCallback(given, every=every)
