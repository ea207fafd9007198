"""Generation with vLLM, behind the extra `vllm`. Written against its documented interface; not run on hardware yet.

vLLM loads checkpoints from folders, so hybrids must be on disk (`restore`). Every sample is a request of its own with a
seed made from seed, prompt id and sample, so outputs do not depend on the batch, as far as vLLM's kernels do not. They
differ from those of the `hf` backend, which draws with other random numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slr_probe.checkpoint import AdapterCheckpoint
from slr_probe.errors import GenerationError
from slr_probe.generation.decode import Request, Sample
from slr_probe.generation.draw import sample_key
from slr_probe.generation.sampling import Sampling
from slr_probe.generation.sources import Source
from slr_probe.restoration.end_bias import read_end_bias

if TYPE_CHECKING:
    from slr_probe.pair import ModelPair

_CHUNK = 4096  # requests a call: results are on disk after each


def folder_of(pair: ModelPair, source: Source) -> Path:
    """The checkpoint folder of a model.

    Raises:
        GenerationError: It has none: a recipe that is not built yet, an adapter, or a model in memory.
    """
    if isinstance(source.what, Path):
        return source.what
    if source.what not in ("base", "tuned"):
        raise GenerationError(
            f"'{source.name}' is a recipe; vLLM needs it on disk: restore(base, tuned, recipe, out=FOLDER), then give "
            "the folder as the model"
        )
    side = pair.base_side if source.what == "base" else pair.tuned_side
    if side.path is None or isinstance(side.checkpoint, AdapterCheckpoint):
        raise GenerationError(
            f"vLLM needs '{source.name}' as a checkpoint folder with whole weights; it is {side.label}"
        )
    return side.path


def check_folders(pair: ModelPair, sources: Sequence[Source]) -> None:
    """Check that every model is on disk before the first of them writes.

    Raises:
        GenerationError: One is not.
    """
    for source in sources:
        folder_of(pair, source)


def load_vllm() -> Any:
    """The module.

    Raises:
        GenerationError: vLLM is not installed.
    """
    try:
        import vllm  # type: ignore[import-not-found]
    except ImportError as error:
        raise GenerationError(
            "backend='vllm' needs vLLM: pip install 'slr-probe[vllm]', or use backend='hf'"
        ) from error
    return vllm


def write_vllm(
    folder: Path,
    requests: Sequence[Request],
    sampling: Sampling,
    *,
    ends: Sequence[int],
    dtype: str | None = None,
    trust_remote_code: bool = False,
) -> Iterator[list[Sample]]:
    """Write all samples of all requests with one engine; see `decode.write`.

    Raises:
        GenerationError: vLLM is not installed.
    """
    vllm = load_vllm()
    # generation_config="vllm": nothing is taken from the checkpoint's own sampling settings.
    engine: Any = vllm.LLM(
        model=str(folder),
        dtype=dtype or "auto",
        seed=sampling.seed,
        trust_remote_code=trust_remote_code,
        generation_config="vllm",
    )
    bias = read_end_bias(folder) or None  # of a hybrid that was restored with one
    work = [(request, number) for request in requests for number in request.samples]
    for start in range(0, len(work), _CHUNK):
        part = work[start : start + _CHUNK]
        prompts = [{"prompt_token_ids": list(request.ids)} for request, _ in part]
        options = [
            vllm.SamplingParams(**_options(sampling, request.id, number, ends), logit_bias=bias)
            for request, number in part
        ]
        outputs = engine.generate(prompts, options, use_tqdm=False)
        yield [_sample(request.id, number, out, ends) for (request, number), out in zip(part, outputs, strict=True)]


def _options(sampling: Sampling, prompt: str, number: int, ends: Sequence[int]) -> dict[str, Any]:
    return {
        "n": 1,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "min_p": sampling.min_p,
        "max_tokens": sampling.max_tokens,
        "seed": sample_key(sampling.seed, prompt, number) % 2**63,
        "stop": list(sampling.stop) or None,
        "stop_token_ids": list(ends),
        "skip_special_tokens": True,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "repetition_penalty": 1.0,
    }


def _sample(prompt: str, number: int, out: Any, ends: Sequence[int]) -> Sample:
    best = out.outputs[0]
    tokens = [int(token) for token in best.token_ids]
    if tokens and tokens[-1] in ends:
        tokens.pop()
    return Sample(prompt, number, tuple(tokens), best.finish_reason == "stop")
