"""Read and write the residual stream, and read gradients: plain PyTorch hooks on the model's own modules."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from slr_probe.errors import LayoutError
from slr_probe.forward.points import Key, Point, block_points, select_points

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from torch import Tensor, nn
    from torch.utils.hooks import RemovableHandle
    from transformers import PreTrainedModel


@contextmanager
def recording(
    points: Iterable[Point], *, at: Int[Tensor, "batch picked"] | None = None
) -> Iterator[dict[Key, Float[Tensor, "batch picked hidden"]]]:
    """Copy what passes at `points` during every forward inside a `with` block; the hooks are always removed.

    Args:
        points: Where; see `points.select_points`.
        at: Positions to keep in each row of the batch; None keeps all.

    Yields:
        What the latest forward left, by `(block, component)`, in the order of computation; copies, detached.

    Examples:
        >>> with recording(select_points(model, ["resid_post"])) as recorded:  # doctest: +SKIP
        ...     model(input_ids)
        >>> recorded[3, "resid_post"].shape  # doctest: +SKIP
        torch.Size([2, 7, 640])
    """
    recorded: dict[Key, Tensor] = {}

    def read(point: Point) -> Callable[[Tensor], None]:
        def hook(tensor: Tensor) -> None:
            recorded[point.key] = _scaled(_pick(tensor.detach(), at), point.scale)

        return hook

    with _hooked((point, read(point)) for point in points):
        yield recorded


@contextmanager
def replacing(
    edits: Mapping[Point, Callable[[Float[Tensor, "batch position hidden"]], Float[Tensor, "batch position hidden"]]],
) -> Iterator[None]:
    """Replace what passes at some points by a function of it inside a `with` block; the hooks are always removed.

    Args:
        edits: For each point, a function from the tensor that the residual stream would receive to the one that it
            shall receive. Edits act in the order of computation. The function must not write into its argument.

    Raises:
        LayoutError: An edit at `resid_mid`, where blocks keep a second copy of the stream that hooks cannot
            reach; edit `attn_out` instead.
        ValueError: (during the forward) A function returned another shape.
    """
    for point in edits:
        if point.component == "resid_mid":
            raise LayoutError(f"block {point.block}: resid_mid can be read but not replaced; replace attn_out instead")

    def write(point: Point, edit: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        def hook(tensor: Tensor) -> Tensor:
            new = edit(_scaled(tensor, point.scale))
            if new.shape != tensor.shape:
                raise ValueError(f"the edit at {point} returned shape {list(new.shape)}, expected {list(tensor.shape)}")
            return _scaled(new.to(tensor), 1 / point.scale)

        return hook

    with _hooked((point, write(point, edit)) for point, edit in edits.items()):
        yield


@contextmanager
def watching(
    modules: Sequence[nn.Module], see: Callable[[int, tuple[Any, ...], dict[str, Any], Any], None]
) -> Iterator[None]:
    """Call `see` after every forward of some modules inside a `with` block; the hooks are always removed.

    Args:
        modules: Such as the blocks of a decoder.
        see: Called with the module's number, its arguments and keyword arguments, and its output.
    """

    def hook(number: int) -> Callable[..., None]:
        return lambda _module, args, kwargs, output: see(number, args, kwargs, output)

    handles: list[RemovableHandle] = []
    try:
        for number, module in enumerate(modules):
            handles.append(module.register_forward_hook(hook(number), with_kwargs=True))
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def reading_gradients(model: nn.Module, readers: Mapping[Tensor, Callable[[Tensor], None]]) -> Iterator[None]:
    """Hand each gradient to its reader as soon as it is complete, and drop it: one is held at a time.

    Inside the `with` block only the parameters that have a reader take gradients; afterwards all are as before.

    Args:
        model: The model.
        readers: For each parameter a function of its gradient.
    """

    def hook(read: Callable[[Tensor], None]) -> Callable[[Tensor], None]:
        def take(parameter: Tensor) -> None:
            gradient, parameter.grad = parameter.grad, None
            if gradient is not None:
                read(gradient)

        return take

    before = {parameter: parameter.requires_grad for parameter in model.parameters()}
    handles: list[RemovableHandle] = []
    try:
        for parameter in before:
            parameter.requires_grad_(False)
        for read_from, read in readers.items():
            read_from.requires_grad_(True)
            handles.append(read_from.register_post_accumulate_grad_hook(hook(read)))  # type: ignore[no-untyped-call]
        yield
    finally:
        for handle in handles:
            handle.remove()
        for parameter, took_gradient in before.items():
            parameter.requires_grad_(took_gradient)
            parameter.grad = None


def check_additive(model: PreTrainedModel, input_ids: Int[Tensor, "batch position"]) -> None:
    """Check on a small input that every block adds its attention and MLP outputs to the residual stream.

    Raises:
        LayoutError: `resid_pre + attn_out + mlp_out` is not `resid_post` in some block, so that the two outputs are not
            the contributions of the block (Gemma 4, for one, rescales the stream at its end).
    """
    import torch

    parts = ("resid_pre", "attn_out", "mlp_out", "resid_post")
    with torch.no_grad(), recording(select_points(model, parts)) as recorded:
        model(input_ids=input_ids, use_cache=False)
    low = next(model.parameters()).dtype in (torch.bfloat16, torch.float16)
    for block in sorted({block for block, _ in recorded}):
        pre, attn, mlp, post = (recorded[block, part].to(model.device).double() for part in parts)
        size = max(float(t.norm()) for t in (pre, attn, mlp, post))
        gap = float((pre + attn + mlp - post).norm())
        if gap > (3e-2 if low else 1e-4) * size:
            raise LayoutError(
                f"{type(model).__name__}, block {block}: resid_pre + attn_out + mlp_out differs from resid_post by "
                f"{gap / size:.1%}; this architecture does not simply add them, so use resid_pre and resid_post only"
            )


def first_nonfinite(
    model: PreTrainedModel, input_ids: Int[Tensor, "batch position"], **inputs: Any
) -> Key | Literal["embedding"] | None:
    """Where NaN or infinity first appears in a forward: the embedding, or `(block, component)`; None if nowhere."""
    import torch

    with torch.no_grad(), recording([p for b in block_points(model) for p in b.points.values()]) as recorded:
        model(input_ids=input_ids, **inputs)
    bad = next((key for key, value in recorded.items() if not bool(value.isfinite().all())), None)
    return "embedding" if bad == (0, "resid_pre") else bad


# -- hooks -------------------------------------------------------------------------------------------------------


@contextmanager
def _hooked(hooks: Iterable[tuple[Point, Callable[[Tensor], Tensor | None]]]) -> Iterator[None]:
    handles: list[RemovableHandle] = []
    try:
        for point, function in hooks:
            handles.append(_attach(point, function))
        yield
    finally:
        for handle in handles:
            handle.remove()


def _attach(point: Point, function: Callable[[Tensor], Tensor | None]) -> RemovableHandle:
    def on_input(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        name = None if args else "hidden_states" if "hidden_states" in kwargs else next(iter(kwargs))
        new = function(_stream(point, args[0] if name is None else kwargs[name]))
        if new is None:
            return None
        return ((new, *args[1:]), kwargs) if name is None else (args, {**kwargs, name: new})

    def on_output(module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        whole = isinstance(output, tuple)
        new = function(_stream(point, output[0] if whole else output))
        return (new, *output[1:]) if whole and new is not None else new

    if point.side == "input":
        return point.module.register_forward_pre_hook(on_input, with_kwargs=True)
    return point.module.register_forward_hook(on_output)


def _stream(point: Point, value: Any) -> Tensor:
    import torch

    if not isinstance(value, torch.Tensor) or value.ndim != 3:
        found = f"shape {list(value.shape)}" if isinstance(value, torch.Tensor) else type(value).__name__
        raise LayoutError(
            f"block {point.block}, {point.component}: expected one tensor [batch, position, hidden], found {found}; "
            "this architecture has no single residual stream there"
        )
    return value


def _pick(tensor: Tensor, at: Tensor | None) -> Tensor:
    if at is None:
        return tensor.clone()  # some blocks (Falcon) add into their parts in place afterwards
    index = at.to(tensor.device).unsqueeze(-1).expand(-1, -1, tensor.shape[-1])
    return tensor.gather(1, index)


def _scaled(tensor: Tensor, scale: float) -> Tensor:
    return tensor if scale == 1.0 else tensor * scale
