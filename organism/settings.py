"""What the embedded pairs are trained with: everything that decides them, apart from the machine."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from organism.corpus import POST_MIX, TEXT_MIX, WRITING_MIX
from organism.loops import Schedule


@dataclass(frozen=True)
class PostTraining:
    """Sizes and strengths of SFT and of DPO.

    Attributes:
        demonstrations: How many prompts with answers SFT sees.
        sharpness: How much these answers favour the typical.
        sft: Schedule of the first stage.
        pairs: Preference pairs.
        pair_sharpness: Of chosen and of rejected answers; the difference is the typicality bias.
        wrong: Share of the rejected answers that are wrong.
        plain: Share of the prompts that come without the chat template, in both stages.
        beta: Pull of DPO towards its reference.
        imitation: Weight of the chosen replies' negative log-likelihood in DPO.
        dpo: Schedule of the second stage.
        mix: How many of the preference pairs are of each family.
    """

    demonstrations: int = 40_000
    sharpness: float = 1.2
    sft: Schedule = field(default=Schedule(rate=6e-4, tokens=1536))
    pairs: int = 12_000
    pair_sharpness: tuple[float, float] = (3.5, 1.2)
    wrong: float = 0.3
    plain: float = 0.0
    beta: float = 0.25
    imitation: float = 0.5
    dpo: Schedule = field(default=Schedule(rate=3e-4, tokens=2048))
    mix: dict[str, int] = field(default_factory=lambda: POST_MIX)


@dataclass(frozen=True)
class Settings:
    """Everything that decides the checkpoints, apart from the machine.

    `local` and `again` are the two rounds of the made pair; the second, without SFT, is for what is written at length,
    which one round leaves diverse.
    """

    seed: int = 0
    depth: int = 10
    width: int = 96
    documents: int = 300_000
    prompt_weight: float = 0.05
    initializer_range: float = 0.08
    tokenizer_documents: int = 30_000
    base: Schedule = field(default=Schedule(rate=3e-3, tokens=1024, weight_decay=0.05))
    post: PostTraining = field(default_factory=PostTraining)
    planted: PostTraining = field(
        default_factory=lambda: PostTraining(
            plain=0.5, sft=Schedule(rate=1e-3, tokens=1536), dpo=Schedule(rate=5e-4, tokens=2048)
        )
    )
    local: PostTraining = field(
        default_factory=lambda: PostTraining(
            demonstrations=16_000,
            sharpness=0.0,
            sft=Schedule(rate=4e-4, tokens=1536),
            pairs=14_000,
            pair_sharpness=(8.0, 0.0),
            wrong=0.05,
            beta=0.1,
            imitation=1.0,
            dpo=Schedule(rate=3e-3, tokens=2048),
            mix=TEXT_MIX,
        )
    )
    again: PostTraining = field(
        default_factory=lambda: PostTraining(
            pairs=2_500,
            pair_sharpness=(12.0, 0.0),
            wrong=0.05,
            beta=0.1,
            imitation=3.0,
            dpo=Schedule(rate=2e-3, tokens=2048),
            mix=WRITING_MIX,
        )
    )


def quick(settings: Settings) -> Settings:
    """The same pipeline with a handful of steps a stage, to see that it runs."""

    def few(post: PostTraining) -> PostTraining:
        return replace(post, demonstrations=60, pairs=40)

    return replace(
        settings,
        documents=200,
        tokenizer_documents=2_000,
        post=few(settings.post),
        planted=few(settings.planted),
        local=few(settings.local),
        again=few(settings.again),
    )
