import numpy as np
import pytest
import torch

from slr_probe import ModelPair
from slr_probe.errors import TaskError
from slr_probe.tasks import CRCTask
from tests.tasks.exact import answer_distribution, next_token_logits, sampling_logprobs
from tests.tasks.sampled import draw_answers, sampling_check

TASK = CRCTask.of(
    [("Pick a or b.", ["a", "b"]), ("Pick one of c, d, e.", ["c", "d", "e"]), ("Pick 1 or 2.", ["1", "2"])]
)


@pytest.fixture(scope="module")
def pair(pair_of):
    folders = pair_of("llama")
    return ModelPair.load(folders.base, folders.tuned, device="cpu")


@pytest.fixture(scope="module")
def rendered(pair):
    return TASK.render(pair)


def test_scores_agree_with_one_softmax_at_a_time(pair, rendered):
    found = answer_distribution(pair.tuned, rendered)
    for row, query in enumerate(rendered.rendered):
        with torch.no_grad():
            p = pair.tuned(torch.tensor([query.token_ids])).logits[0, -1].double().softmax(0)
        mass = [sum(p[i].item() for i in group) for group in query.answers]
        assert found.validity[row] == pytest.approx(sum(mass), rel=1e-5)
        share = np.array(mass) / sum(mass)
        assert found.entropy[row] == pytest.approx(-(share * np.log(share)).sum(), rel=1e-5)
        assert found.diversity[row] == pytest.approx(found.entropy[row] / np.log(len(mass)))
        outside = p.clone()
        outside[[i for group in query.answers for i in group]] = 0
        # validity + invalidity = 1
        assert found.validity[row] + outside.sum().item() == pytest.approx(1, abs=1e-6)


def test_temperature_and_min_p_agree_with_transformers():
    from transformers import MinPLogitsWarper, TemperatureLogitsWarper

    logits = torch.randn(5, 40, generator=torch.Generator().manual_seed(0)).double() * 3
    theirs = MinPLogitsWarper(0.1)(None, TemperatureLogitsWarper(0.7)(None, logits)).log_softmax(-1)
    ours = sampling_logprobs(logits, 0.7, 0.1)
    assert torch.equal(ours.isinf(), theirs.isinf())
    assert torch.allclose(ours, theirs)
    assert ours.isinf().any()
    assert torch.allclose(ours.exp().sum(-1), torch.ones(5).double())


def test_padding_of_batches_is_never_seen(pair, rendered):
    together = next_token_logits(pair.tuned, rendered.rendered)
    alone = [next_token_logits(pair.tuned, [query])[0] for query in rendered.rendered]
    for one, other in zip(together, alone, strict=True):
        assert torch.allclose(one, other, atol=1e-5)


@pytest.mark.parametrize(("temperature", "min_p"), [(1.0, 0.0), (0.7, 0.1)])
def test_samples_agree_with_the_exact_distribution(pair, rendered, temperature, min_p):
    # A generation config that would change the distribution if a setting were left to it.
    pair.tuned.generation_config.top_k = 2
    pair.tuned.generation_config.temperature = 0.1
    state = torch.random.get_rng_state()
    found = sampling_check(pair.tuned, rendered, samples=600, temperature=temperature, min_p=min_p)
    assert found.agrees, str(found)
    assert torch.equal(torch.random.get_rng_state(), state)
    low, high = found.validity_interval
    assert high - low < 0.06  # an interval that could miss


def test_samples_of_another_temperature_disagree(pair, rendered):
    def warmer(model, task, samples, temperature, min_p, seed):
        return draw_answers(model, task, samples, 3 * temperature, min_p, seed)

    assert not sampling_check(pair.tuned, rendered, samples=600, draw=warmer).agrees


def test_bad_settings(pair, rendered):
    with pytest.raises(TaskError, match="temperature"):
        answer_distribution(pair.tuned, rendered, temperature=0)
    with pytest.raises(TaskError, match="min_p"):
        answer_distribution(pair.tuned, rendered, min_p=1.5)
    with pytest.raises(TaskError, match="at least 2 samples"):
        sampling_check(pair.tuned, rendered, samples=1)
